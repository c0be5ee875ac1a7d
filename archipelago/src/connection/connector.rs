//! Opens connections: encrypted as the URL asks, told how to behave, and asked whose they are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel_async::AsyncPgConnection;
use futures_util::future::join;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, SimpleQueryMessage, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::cluster::HealthRecord;
use crate::connection::Connection;
use crate::state::{self, Said, Server};
use crate::{Access, DatabaseUrl, Error, Protection, Timeouts};

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

/// Why a connection could not be opened, or not be used again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct ConnectError {
    reason: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// There is no way to the server, or no answer.
    Silence,
    /// The server answered, and cannot be used.
    Refusal,
    /// It was to take writes.
    Replica,
}

impl ConnectError {
    pub(crate) fn new(reason: &impl ToString) -> Self {
        Self { reason: reason.to_string(), kind: Kind::Refusal }
    }

    pub(crate) fn silent(waited: Duration) -> Self {
        Self { reason: format!("no answer within {waited:?}"), kind: Kind::Silence }
    }

    /// Whether the server did not answer, so that others who wait for it wait in vain.
    pub(crate) fn is_silence(&self) -> bool {
        self.kind == Kind::Silence
    }

    /// As the failure of a question to `region`.
    pub(crate) fn of(&self, region: &'static str) -> Error {
        match self.kind {
            Kind::Replica => Error::NotPrimary { region },
            Kind::Silence | Kind::Refusal => {
                Error::Unreachable { region, reason: self.reason.clone() }
            }
        }
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
    /// A new connection, which the current runtime drives.
    pub(crate) async fn open(&self) -> Result<Connection, ConnectError> {
        within(self.timeouts.checkout, self.opened()).await
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
        let (greeting, migrated) =
            join(state::greet(&client, &self.session()), self.is_migrated(&client)).await;
        let round_trip = asked.elapsed();
        let (server, said) = greeting?;
        migrated?;
        if self.access == Access::Write
            && said.is_replica
            && self.health.lineage.protections.include(Protection::Role)
        {
            return Err(ConnectError {
                reason: "it is a replica, and takes no writes".to_owned(),
                kind: Kind::Replica,
            });
        }
        let inner = AsyncPgConnection::try_from(client).await?;
        Ok(Connection::new(
            inner,
            self.region,
            round_trip,
            (server, said),
            self.health.clone(),
            driver,
        ))
    }

    /// With SET and not as startup parameters, which `PgBouncer` refuses.
    fn session(&self) -> String {
        let is_given = self
            .url
            .config()
            .get_options()
            .is_some_and(|options| options.contains("statement_timeout"));
        let limit = self.timeouts.statement.as_millis();
        let limit =
            if is_given { String::new() } else { format!("SET statement_timeout = {limit};") };
        // Never off: an operator may have made the whole database read-only.
        let access = if self.access == Access::Read {
            "SET default_transaction_read_only = on;"
        } else {
            ""
        };
        limit + access
    }

    /// A server that has the migration once never loses it: it is asked when a connection is opened, and not again.
    async fn is_migrated(&self, client: &Client) -> Result<(), ConnectError> {
        let Some(needed) = self.migration.as_deref().filter(|_| self.access == Access::Read) else {
            return Ok(());
        };
        let newest = match client
            .simple_query("SELECT max(version) FROM __diesel_schema_migrations")
            .await
        {
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

type Driver =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

async fn dial(
    url: &DatabaseUrl,
    name: &str,
    timeouts: Timeouts,
) -> Result<(Client, Driver), ConnectError> {
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

async fn within<T>(
    limit: Duration,
    opening: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    let outcome = tokio::time::timeout(limit, opening).await;
    outcome.unwrap_or_else(|_| Err(ConnectError::silent(limit)))
}

/// The whole chain of causes: tokio-postgres says only "error connecting to server" by itself.
fn explain(error: &tokio_postgres::Error) -> ConnectError {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let reason = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    ConnectError {
        reason,
        kind: if error.code().is_some() { Kind::Refusal } else { Kind::Silence },
    }
}
