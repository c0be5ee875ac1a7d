//! Opens connections: dials, prepares the session, identifies the server, and checks its schema.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel_async::AsyncPgConnection;
use futures_util::future::join;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::Connection;
use super::probe::identify;
use crate::error::DownReason;
use crate::server::{HealthRecord, ServerIdentity, ServerReport};
use crate::settings::{Access, DatabaseUrl, Safeguard, Timeouts};

/// Which of the migrations `$1` the database lacks. A set: one with an older date may be merged
/// later.
const MISSING: &str = "SELECT version::text FROM unnest($1) AS needed (version)
    EXCEPT SELECT version::text FROM __diesel_schema_migrations ORDER BY version";

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
    /// The versions of the migrations that a database must have to serve reads.
    pub(crate) migrations: Arc<[String]>,
    /// Counts the open connections.
    pub(crate) connections: TaskTracker,
}

impl Connector {
    /// A new connection, driven by the current runtime.
    pub(crate) async fn open(&self) -> Result<Connection, DownReason> {
        within(self.timeouts.checkout, self.open_unbounded()).await
    }

    /// A connection that only asks for the server's report.
    pub(crate) async fn interview(&self) -> Result<Interview, DownReason> {
        let (client, driver) = dial(&self.url, self.name, self.timeouts).await?;
        Ok(Interview { client, _driver: AbortOnDropHandle::new(tokio::spawn(driver)) })
    }

    async fn open_unbounded(&self) -> Result<Connection, DownReason> {
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
            join(identify(&client, &session), self.check_migrations(&client)).await;
        let round_trip = asked.elapsed();
        let (identity, report) = identified?;
        migrated?;
        let must_be_primary =
            self.access == Access::Write && self.health.timelines.safeguards.has(Safeguard::Role);
        if must_be_primary && report.is_replica {
            return Err(DownReason::NotPrimary);
        }
        let inner = AsyncPgConnection::try_from(client).await?;
        let health = self.health.clone();
        Ok(Connection::new(inner, self.region, round_trip, (identity, report), health, driver))
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

    /// Fails where the database lacks a required migration. Asked once for each connection: a
    /// database that has a migration keeps it.
    async fn check_migrations(&self, client: &Client) -> Result<(), DownReason> {
        if self.access == Access::Write || self.migrations.is_empty() {
            return Ok(());
        }
        let needed: &[String] = &self.migrations;
        let missing = match client.query_typed(MISSING, &[(&needed, Type::TEXT_ARRAY)]).await {
            Ok(rows) => rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?,
            Err(error) => match error.code() {
                Some(&SqlState::UNDEFINED_TABLE) => needed.to_vec(),
                Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                    let role = self.url.config().get_user().unwrap_or_default().to_owned();
                    return Err(DownReason::SchemaUnreadable { role });
                }
                _ => return Err(error.into()),
            },
        };
        if missing.is_empty() { Ok(()) } else { Err(DownReason::SchemaTooOld { missing }) }
    }
}

/// A connection that asks a server for its report, again and again.
pub(crate) struct Interview {
    client: Client,
    _driver: AbortOnDropHandle<Result<(), tokio_postgres::Error>>,
}

impl Interview {
    /// Which server it is, and its report.
    pub(crate) async fn ask(&self) -> Result<(ServerIdentity, ServerReport), DownReason> {
        identify(&self.client, "").await
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
