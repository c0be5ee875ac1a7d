//! Opens connections: dials, prepares the session, identifies the server, and checks its schema.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel_async::AsyncPgConnection;
use futures_util::future::join;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, SimpleQueryMessage, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::Connection;
use super::probe::identify;
use crate::error::DownReason;
use crate::server::HealthRecord;
use crate::settings::{Access, DatabaseUrl, Safeguard, Timeouts};

/// One connection outside any pool, to read and write without a limit on the time of a statement:
/// for migrations.
///
/// # Errors
/// Why no connection could be opened.
pub async fn connect(url: &DatabaseUrl) -> Result<AsyncPgConnection, DownReason> {
    let timeouts = Timeouts::default();
    within(timeouts.checkout, async {
        let (client, driver) = dial(url, "archipelago", timeouts).await?;
        Ok(AsyncPgConnection::try_from_client_and_connection(client, driver).await?)
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
    /// The newest migration that a database must have to serve reads.
    pub(crate) migration: Option<Arc<str>>,
    /// Counts the open connections.
    pub(crate) connections: TaskTracker,
}

impl Connector {
    /// A new connection, driven by the current runtime.
    pub(crate) async fn open(&self) -> Result<Connection, DownReason> {
        let (connection, migrated) = within(self.timeouts.checkout, self.open_any()).await?;
        migrated.map(|()| connection)
    }

    /// A new connection, and whether the database has the required migrations: the monitor also asks
    /// one that has not. Waits without a limit.
    pub(crate) async fn open_any(
        &self,
    ) -> Result<(Connection, Result<(), DownReason>), DownReason> {
        let (client, driver) = dial(&self.url, self.name, self.timeouts).await?;
        // Diesel could drive the connection too, but would then poll the driver for errors at each
        // query. A query on a broken connection fails without that as well.
        let driver = self.connections.track_future(async {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
        let driver = AbortOnDropHandle::new(tokio::spawn(driver));
        let asked = Instant::now();
        let session = self.session_setup();
        let (identified, migrated) =
            join(identify(&client, &session), self.check_migration(&client)).await;
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
            Connection::new(inner, self.region, round_trip, identified, health, driver);
        Ok((connection, migrated))
    }

    /// The commands that prepare a session. SET, as `PgBouncer` refuses startup parameters.
    fn session_setup(&self) -> String {
        let options = self.url.config().get_options();
        let has_limit = options.is_some_and(|options| options.contains("statement_timeout"));
        let limit = self.timeouts.statement.as_millis();
        let limit =
            if has_limit { String::new() } else { format!("SET statement_timeout = {limit};") };
        // Never switched off: an operator may have made the whole database read-only.
        let access = match self.access {
            Access::Read => "SET default_transaction_read_only = on;",
            Access::Write => "",
        };
        limit + access
    }

    /// Fails where the database lacks the required migration. Asked once for each connection: a
    /// database that has the migration keeps it.
    async fn check_migration(&self, client: &Client) -> Result<(), DownReason> {
        let is_read = self.access == Access::Read;
        let Some(needed) = self.migration.as_deref().filter(|_| is_read) else { return Ok(()) };
        let query = "SELECT max(version) FROM __diesel_schema_migrations";
        let newest = match client.simple_query(query).await {
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
        Err(DownReason::SchemaTooOld { newest, needed: needed.to_owned() })
    }
}

type Driver =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

async fn dial(
    url: &DatabaseUrl,
    name: &str,
    timeouts: Timeouts,
) -> Result<(Client, Driver), DownReason> {
    let mut config = url.config().clone();
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(timeouts.connect);
    }
    if config.get_application_name().is_none() {
        config.application_name(name);
    }
    // A cut line shows as silence. The kernel must give up before a caller does.
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(timeouts.statement);
    }
    if !url.has_parameter("keepalives_idle") {
        config.keepalives_idle(Duration::from_secs(15));
    }
    let limit = config.get_connect_timeout().copied().unwrap_or(timeouts.connect);
    config.connect(url.tls().connector()).await.map_err(|error| {
        if has_timed_out(&error) { DownReason::Silent { waited: limit } } else { error.into() }
    })
}

fn has_timed_out(error: &tokio_postgres::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    cause.is_some_and(|cause: &io::Error| cause.kind() == io::ErrorKind::TimedOut)
}

async fn within<T>(
    limit: Duration,
    opening: impl Future<Output = Result<T, DownReason>>,
) -> Result<T, DownReason> {
    let outcome = tokio::time::timeout(limit, opening).await;
    outcome.unwrap_or(Err(DownReason::Silent { waited: limit }))
}
