//! Opens connections: dials, prepares the session, identifies the server, and checks its schema.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel_async::AsyncPgConnection;
use futures_util::future::join;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_util::task::TaskTracker;

use super::Connection;
use super::dial::{Dialed, dial, read_silence};
use super::driver::{Canceller, Driver};
use super::head_starts::LastAddress;
use super::probe::{Session, identify, refuse_pooler};
use crate::error::{DownReason, End, PoolRecord, ServerErrors, SessionRecord};
use crate::server::HealthRecord;
use crate::settings::{Access, DatabaseUrl, Safeguard, Timeouts};

/// Which of the migrations `$1` the database lacks. A set: one with an older date may be merged
/// later.
const MISSING: &str = "SELECT version::text FROM unnest($1) AS needed (version)
    EXCEPT SELECT version::text FROM __diesel_schema_migrations ORDER BY version";

/// Whether the table of migrations is in a schema that the role may not use. Then it seems to be
/// missing.
const IS_HIDDEN: &str = "SELECT FROM pg_class WHERE relname = '__diesel_schema_migrations'
    AND NOT has_schema_privilege(relnamespace, 'USAGE')";

/// For a connection on which no visitor waits: a server that has just started may be slow.
const PATIENT: Duration = Duration::from_secs(10);

/// One connection outside any pool, to read and write without a limit on the time of a statement:
/// for migrations. Waits 10 s for the server. It yields no notifications of LISTEN.
///
/// # Errors
/// Why no connection could be opened.
pub async fn connect(url: &DatabaseUrl) -> Result<AsyncPgConnection, DownReason> {
    connect_with_errors(url).await.map(|(connection, _)| connection)
}

/// [`connect`], with what tells the SQLSTATE of an error: Diesel's errors have kinds for eight of them
/// only.
///
/// # Errors
/// As there.
pub async fn connect_with_errors(
    url: &DatabaseUrl,
) -> Result<(AsyncPgConnection, ServerErrors), DownReason> {
    let timeouts = Timeouts { connect: PATIENT, checkout: PATIENT, ..Timeouts::default() };
    within(PATIENT, async {
        let record = || SessionRecord::new(false, &Arc::default());
        let dialed =
            dial(url, "archipelago", timeouts, timeouts.statement, &LastAddress::default(), record)
                .await?;
        tokio::spawn(dialed.driver);
        refuse_pooler(&dialed.client, &Session::of(url, &dialed.session)).await?;
        let errors = ServerErrors::new(dialed.session);
        Ok((AsyncPgConnection::try_from(dialed.client).await?, errors))
    })
    .await
}

/// Opens the connections of one pool.
#[derive(Clone)]
pub(crate) struct Connector {
    /// The name that `pg_stat_activity` shows, unless the URL has another.
    pub(crate) name: &'static str,
    pub(crate) region: &'static str,
    pub(crate) url: DatabaseUrl,
    pub(crate) access: Access,
    pub(crate) timeouts: Timeouts,
    pub(crate) health: Arc<HealthRecord>,
    /// The versions of the migrations that a database must have to serve reads.
    pub(crate) migrations: Arc<[String]>,
    /// Counts the open connections.
    pub(crate) connections: TaskTracker,
    pub(crate) pool: Arc<PoolRecord>,
    pub(crate) last_address: Arc<LastAddress>,
}

/// Goes first in the first message of a session: a standby refuses a role's own default of
/// `serializable`.
const FIRST: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED;";

impl Connector {
    /// A new connection, driven by the current runtime. It holds the slot until the server is done
    /// with it.
    pub(crate) async fn open(&self, slot: impl Send + 'static) -> Result<Connection, DownReason> {
        let (connection, migrated) = within(self.timeouts.checkout, self.open_any(slot)).await?;
        migrated.map(|()| connection)
    }

    async fn dial(&self) -> Result<Dialed, DownReason> {
        let is_read = self.access == Access::Read;
        let record = || SessionRecord::new(is_read, &self.pool);
        // A read is asked again early. A write is uncertain then, so its session waits longer.
        let silence =
            if is_read { read_silence(self.health.round_trip()) } else { self.timeouts.statement };
        dial(&self.url, self.name, self.timeouts, silence, &self.last_address, record).await
    }

    /// A new connection, and whether the database has the required migrations: the monitor also asks
    /// one that has not. Waits without a limit.
    pub(crate) async fn open_any(
        &self,
        slot: impl Send + 'static,
    ) -> Result<(Connection, Result<(), DownReason>), DownReason> {
        let Dialed { client, driver, session, server } = self.dial().await?;
        let (token, limit) = (client.cancel_token(), self.timeouts.connect);
        let canceller = Canceller::new(token, self.url.clone(), server, limit);
        // Diesel could drive the connection too, but would then poll the driver for errors at each
        // query. A query on a broken connection fails without that as well.
        let (mut driver, record) = (driver, session.clone());
        let driver = self.connections.track_future(async move {
            let _slot = slot;
            let ended = (&mut driver).await;
            if ended.is_err() {
                record.record_loss();
            }
            // Before its callers learn that no answer will come: else its last runtime ended.
            record.record_end(End::Closed);
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended");
            }
        });
        let (session_record, health) = (session.clone(), self.health.clone());
        let driver = Driver::new(driver, canceller, session_record, health, self.timeouts.answer());
        let asked = Instant::now();
        let begun = Session::of(&self.url, &session);
        let setup = self.session_setup(&begun);
        let (identified, migrated) =
            join(identify(&client, &setup, &begun), self.check_migrations(&client)).await;
        let round_trip = asked.elapsed();
        let identified = identified?;
        let must_be_primary =
            self.access == Access::Write && self.health.leadership.safeguards.has(Safeguard::Role);
        if must_be_primary && identified.1.is_replica {
            return Err(DownReason::NotPrimary);
        }
        let inner = AsyncPgConnection::try_from(client).await?;
        let health = self.health.clone();
        let connection =
            Connection::new(inner, self.region, round_trip, identified, health, driver, session);
        Ok((connection, migrated))
    }

    /// The commands that prepare a session, where it is its server's own. Not startup parameters, which
    /// `PgBouncer` refuses. They return no row.
    fn session_setup(&self, session: &Session) -> String {
        let options = self.url.config().get_options();
        let has_limit = options.is_some_and(|options| options.contains("statement_timeout"));
        let milliseconds = self.timeouts.statement.as_millis();
        // The smaller one of the role's or the database's own limit and ours. 0 is none.
        let limit = format!(
            "least(nullif((extract(epoch FROM current_setting('statement_timeout')::interval)
                * 1000)::bigint, 0), {milliseconds})::text"
        );
        let limit = (!has_limit).then_some(("statement_timeout", &*limit));
        // Never switched off: an operator may have made the whole database read-only.
        let access: &[_] = match self.access {
            Access::Read => &[
                ("default_transaction_read_only", "'on'"),
                ("default_transaction_isolation", "'read committed'"),
            ],
            Access::Write => &[],
        };
        let settings = limit.iter().chain(access);
        let set = |(name, value): &(&str, &str)| format!(", set_config('{name}', {value}, false)");
        let set: String = settings.map(set).collect();
        let is_own = session.is_own();
        format!(
            "{FIRST} SELECT FROM (
                SELECT CASE WHEN {is_own} THEN concat('set'{set}) END AS done OFFSET 0
            ) AS setup WHERE done = '';"
        )
    }

    /// Fails where the database lacks a required migration. Asked once for each connection: a
    /// database that has a migration keeps it.
    async fn check_migrations(&self, client: &Client) -> Result<(), DownReason> {
        if self.access == Access::Write || self.migrations.is_empty() {
            return Ok(());
        }
        let needed: &[String] = &self.migrations;
        let unreadable = || {
            let role = self.url.config().get_user().unwrap_or_default().to_owned();
            DownReason::SchemaUnreadable { role }
        };
        let missing = match client.query_typed(MISSING, &[(&needed, Type::TEXT_ARRAY)]).await {
            Ok(rows) => rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?,
            Err(error) => match error.code() {
                Some(&SqlState::UNDEFINED_TABLE) => {
                    if !client.query_typed(IS_HIDDEN, &[]).await?.is_empty() {
                        return Err(unreadable());
                    }
                    needed.to_vec()
                }
                Some(&SqlState::INSUFFICIENT_PRIVILEGE) => return Err(unreadable()),
                _ => return Err(error.into()),
            },
        };
        if missing.is_empty() { Ok(()) } else { Err(DownReason::SchemaTooOld { missing }) }
    }
}

async fn within<T>(
    limit: Duration,
    opening: impl Future<Output = Result<T, DownReason>>,
) -> Result<T, DownReason> {
    let outcome = tokio::time::timeout(limit, opening).await;
    outcome.unwrap_or(Err(DownReason::Silent { waited: limit }))
}
