//! One connection: opened, encrypted as the URL asks, and told how to behave.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, WeakShared, join};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, SimpleQueryMessage, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::cluster::HealthRecord;
use crate::freshness::{Need, Unmet};
use crate::state::{self, Said, Server, State};
use crate::{Access, DatabaseUrl, Error, Position, Protection, Role, Timeouts};

impl DatabaseUrl {
    /// One connection outside any pool, to read and write without a limit on a statement's time: for migrations.
    ///
    /// # Errors
    /// What the operating system, the TLS library or the server said.
    pub async fn connect(&self) -> Result<AsyncPgConnection, ConnectError> {
        let timeouts = Timeouts::default();
        within(timeouts.checkout, async {
            let (client, driver) = dial(self, "archipelago", timeouts).await?;
            Ok(AsyncPgConnection::try_from_client_and_connection(client, driver).await?)
        })
        .await
    }
}

/// Opens the connections of one pool.
#[derive(Clone)]
pub(crate) struct Connector {
    /// The name by which `pg_stat_activity` knows its connections, where the URL gives none.
    pub(crate) name: &'static str,
    pub(crate) region: &'static str,
    pub(crate) url: DatabaseUrl,
    pub(crate) access: Access,
    pub(crate) timeouts: Timeouts,
    pub(crate) health: Arc<HealthRecord>,
    /// The newest migration that a server must have to be read from.
    pub(crate) migration: Option<Arc<str>>,
    /// Counts the connections that are open.
    pub(crate) open: TaskTracker,
}

/// In microseconds: an answer on a line where a crowd of reads may keep the server busier than the line is long.
const SHORT: u64 = 5000;

/// For how long a replica counts as the one that it was: role and timeline. Whoever looks at it tells all others, so this is how late
/// a new timeline may be known.
const MOMENT: Duration = Duration::from_millis(100);

/// A connection of a pool. Dropped, it is closed, whatever the server still owes on it.
pub(crate) struct Connection {
    pub(crate) inner: AsyncPgConnection,
    pub(crate) region: &'static str,
    /// How long the server took to answer the last question of the opening.
    pub(crate) round_trip: Duration,
    /// Whose it is.
    server: Server,
    /// How the server stood when it was last asked on this connection.
    state: Mutex<State>,
    health: Arc<HealthRecord>,
    /// Itself, where reads share it.
    shared: Weak<Self>,
    /// The quickest answer so far, in microseconds.
    quickest: AtomicU64,
    /// Held by the question for the place in the log that is under way.
    askers: tokio::sync::Mutex<()>,
    /// The next one.
    about_to_ask: Mutex<Option<WeakShared<BoxFuture<'static, Option<State>>>>>,
    driver: AbortOnDropHandle<()>,
}

/// Why a connection could not be opened, or not be used again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct ConnectError {
    reason: String,
    is_replica: bool,
}

impl ConnectError {
    pub(crate) fn new(reason: &impl ToString) -> Self {
        Self { reason: reason.to_string(), is_replica: false }
    }

    pub(crate) fn silent(waited: Duration) -> Self {
        Self::new(&format!("no answer within {waited:?}"))
    }

    /// As the failure of a question to `region`.
    pub(crate) fn of(&self, region: &'static str) -> Error {
        if self.is_replica { Error::NotPrimary { region } } else { Error::Unreachable { region, reason: self.reason.clone() } }
    }
}

impl From<tokio_postgres::Error> for ConnectError {
    fn from(error: tokio_postgres::Error) -> Self {
        explain(&error)
    }
}

impl From<diesel::ConnectionError> for ConnectError {
    fn from(error: diesel::ConnectionError) -> Self {
        Self::new(&error)
    }
}

impl From<diesel::result::Error> for ConnectError {
    fn from(error: diesel::result::Error) -> Self {
        Self::new(&error)
    }
}

impl Connector {
    /// A new connection, which the current runtime drives. A server that cannot be reached is known to be down from then on.
    pub(crate) async fn open(&self) -> Result<Connection, ConnectError> {
        let outcome = within(self.timeouts.checkout, self.opened()).await;
        if let Err(error) = &outcome
            && !error.is_replica
        {
            self.health.failed(error.to_string());
        }
        outcome
    }

    /// A connection for nothing but asking who the server is.
    pub(crate) async fn interview(&self) -> Result<Interview, ConnectError> {
        let (client, driver) = dial(&self.url, self.name, self.timeouts).await?;
        Ok(Interview { client, _driver: AbortOnDropHandle::new(tokio::spawn(driver)) })
    }

    async fn opened(&self) -> Result<Connection, ConnectError> {
        let (client, driver) = dial(&self.url, self.name, self.timeouts).await?;
        // Diesel would drive it too, and look at each query for a message from the driver; a query fails without that as well.
        let driver = self.open.track_future(async {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
        let driver = AbortOnDropHandle::new(tokio::spawn(driver));
        let asked = Instant::now();
        let (greeting, migrated) = join(state::greet(&client, &self.session()), self.is_migrated(&client)).await;
        let round_trip = asked.elapsed();
        let (server, said) = greeting?;
        migrated?;
        if self.access == Access::Write && said.is_replica && self.health.lineage.protections.include(Protection::Role) {
            return Err(ConnectError { reason: "it is a replica, and takes no writes".to_owned(), is_replica: true });
        }
        let state = Mutex::new(self.health.settle(server, said, None));
        let inner = AsyncPgConnection::try_from(client).await?;
        Ok(Connection {
            inner,
            region: self.region,
            round_trip,
            server,
            state,
            health: self.health.clone(),
            shared: Weak::new(),
            quickest: AtomicU64::new(u64::MAX),
            askers: tokio::sync::Mutex::new(()),
            about_to_ask: Mutex::default(),
            driver,
        })
    }

    /// With SET and not as startup parameters, which `PgBouncer` refuses.
    fn session(&self) -> String {
        let is_given = self.url.config().get_options().is_some_and(|options| options.contains("statement_timeout"));
        let limit = self.timeouts.statement.as_millis();
        let limit = if is_given { String::new() } else { format!("SET statement_timeout = {limit};") };
        // Never off: an operator may have made the whole database read-only.
        let access = if self.access == Access::Read { "SET default_transaction_read_only = on;" } else { "" };
        limit + access
    }

    /// A server that has the migration once never loses it: it is asked when a connection is opened, and not again.
    async fn is_migrated(&self, client: &Client) -> Result<(), ConnectError> {
        let Some(needed) = self.migration.as_deref().filter(|_| self.access == Access::Read) else { return Ok(()) };
        let newest = match client.simple_query("SELECT max(version) FROM __diesel_schema_migrations").await {
            Ok(messages) => messages.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0).map(ToOwned::to_owned),
                _ => None,
            }),
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => None,
            Err(error) => return Err(error.into()),
        };
        if newest.as_deref().is_some_and(|newest| newest >= needed) {
            return Ok(());
        }
        let newest = newest.unwrap_or_else(|| "none".to_owned());
        Err(ConnectError::new(&format!(
            "its newest migration is {newest}, and this program needs {needed}: run the migrations on the primary; a replica has \
             them when it has caught up"
        )))
    }
}

/// Asks a server who it is, again and again.
pub(crate) struct Interview {
    client: Client,
    _driver: AbortOnDropHandle<Result<(), tokio_postgres::Error>>,
}

impl Interview {
    /// Who the server is, and how it stands.
    pub(crate) async fn ask(&self) -> Result<(Server, Said), ConnectError> {
        state::greet(&self.client, "").await
    }
}

impl Connection {
    /// To be shared by the reads of a thread.
    pub(crate) fn into_shared(self) -> Arc<Self> {
        Arc::new_cyclic(|shared| Self { shared: shared.clone(), ..self })
    }

    /// Whether a replica can say for certain on which timeline it is.
    pub(crate) fn tells_timelines(&self) -> bool {
        self.server.tells_timelines
    }

    /// Whether the socket is closed, as far as anybody has noticed. Asks nothing of the server.
    pub(crate) fn is_closed(&self) -> bool {
        self.driver.is_finished()
    }

    /// How the server stood when it was last asked here. It has only moved forward since.
    pub(crate) fn state(&self) -> State {
        *lock(&self.state)
    }

    /// Asks how the server stands, behind whatever was sent before, when the future is first polled.
    pub(crate) fn ask_state(&self) -> impl Future<Output = Result<State, Error>> + Send + use<'_> {
        let said = state::ask(&self.inner);
        async move {
            let said = said.await?;
            let mut state = lock(&self.state);
            *state = self.health.settle(self.server, said, Some(*state));
            Ok(*state)
        }
    }

    /// The same, in one question with whoever else asks it before it can be sent. On a short line one is under way at a time: a read
    /// that comes alone does not wait, and a crowd of them shares a few.
    pub(crate) async fn ask_state_with_others(&self) -> Result<State, Error> {
        let Some(shared) = self.shared.upgrade() else { return self.ask_state().await };
        let question = {
            let mut about_to_ask = lock(&self.about_to_ask);
            let waiting = about_to_ask.as_ref().and_then(WeakShared::upgrade);
            waiting.unwrap_or_else(|| {
                let ask = async move {
                    let is_near = shared.quickest.load(Ordering::Relaxed) < SHORT;
                    let _turn = if is_near { Some(shared.askers.lock().await) } else { None };
                    lock(&shared.about_to_ask).take();
                    let asked = Instant::now();
                    let state = shared.ask_place().await.ok();
                    let took = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
                    shared.quickest.fetch_min(took, Ordering::Relaxed);
                    state
                };
                let question = ask.boxed().shared();
                *about_to_ask = question.downgrade();
                question
            })
        };
        let broke = || Error::Unreachable { region: self.region, reason: "the connection broke".to_owned() };
        question.await.ok_or_else(broke)
    }

    /// Asks how far the server is, and nothing else as long as the rest was asked a moment ago: a replica's whole state costs
    /// `PostgreSQL` four times as much.
    async fn ask_place(&self) -> Result<State, Error> {
        let known = self.state();
        if known.role == Role::Primary || known.asked.elapsed() > MOMENT {
            return self.ask_state().await;
        }
        match state::ask_replayed(&self.inner).await? {
            Some(lsn) => {
                let mut state = lock(&self.state);
                state.lsn = state.lsn.max(lsn);
                Ok(*state)
            }
            // It was promoted meanwhile.
            None => self.ask_state().await,
        }
    }

    /// Whether a server that stands so may answer a read that needs this.
    pub(crate) fn meets(&self, need: Need, state: &State) -> Result<(), Unmet> {
        let lineage = &self.health.lineage;
        let newest = if lineage.protections.include(Protection::Role) { lineage.newest() } else { 0 };
        need.met_by(state, self.server.system, newest)
    }

    /// Whether it leads to a primary that was replaced: it goes on taking writes, and nobody will ever see them.
    pub(crate) fn is_of_the_past(&self) -> bool {
        let (lineage, state) = (&self.health.lineage, self.state());
        lineage.protections.include(Protection::Role) && state.role == Role::Primary && state.timeline < lineage.newest()
    }

    /// The position that has everything up to `lsn` behind it, on the timeline that the server was last on.
    pub(crate) fn position(&self, lsn: u64, timeline: u32) -> Position {
        Position { system: self.server.system, timeline, lsn }
    }

    /// Has the primary commit something, so that replicas can tell how old it is what they show. A read-only session may: it
    /// changes nothing that anybody can see.
    pub(crate) async fn beat(&self) -> diesel::QueryResult<()> {
        (&mut &self.inner).batch_execute("SELECT pg_logical_emit_message(true, 'archipelago', 'heartbeat')").await
    }
}

type Driver = tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

async fn dial(url: &DatabaseUrl, name: &str, timeouts: Timeouts) -> Result<(Client, Driver), ConnectError> {
    let mut config = url.config().clone();
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(timeouts.connect);
    }
    if config.get_application_name().is_none() {
        config.application_name(name);
    }
    // A line that was cut shows as silence: the kernel is to give up before a visitor does.
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(timeouts.statement);
    }
    if !url.has_parameter("keepalives_idle") {
        config.keepalives_idle(Duration::from_secs(15));
    }
    config.connect(url.tls().connector()).await.map_err(|error| explain(&error))
}

async fn within<T>(limit: Duration, opening: impl Future<Output = Result<T, ConnectError>>) -> Result<T, ConnectError> {
    let outcome = tokio::time::timeout(limit, opening).await;
    outcome.unwrap_or_else(|_| Err(ConnectError::silent(limit)))
}

/// The whole chain of causes: tokio-postgres says only "error connecting to server" by itself.
fn explain(error: &tokio_postgres::Error) -> ConnectError {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    ConnectError::new(&causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}")))
}

/// Locks, whether or not somebody panicked meanwhile: what these locks guard is whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
