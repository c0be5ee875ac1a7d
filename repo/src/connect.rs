//! One connection: opened, encrypted as the URL asks, and told how to behave.

use std::time::{Duration, Instant};

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::{Access, DatabaseUrl, Timeouts};

impl DatabaseUrl {
    /// One connection outside any pool, to read and write without a limit on a statement's time: for migrations.
    ///
    /// # Errors
    /// What the operating system, the TLS library or the server said.
    pub async fn connect(&self) -> Result<AsyncPgConnection, ConnectError> {
        let timeouts = Timeouts::default();
        within(timeouts.checkout, async {
            let (client, driver) = dial(self, timeouts).await?;
            Ok(AsyncPgConnection::try_from_client_and_connection(client, driver).await?)
        })
        .await
    }
}

/// Opens the connections of one pool.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) region: &'static str,
    pub(crate) url: DatabaseUrl,
    pub(crate) access: Access,
    pub(crate) timeouts: Timeouts,
    /// Counts the connections that are open.
    pub(crate) open: TaskTracker,
}

/// A connection of a pool. Dropped, it is closed, whatever the server still owes on it.
pub(crate) struct Connection {
    pub(crate) inner: AsyncPgConnection,
    /// How long the server took to answer the last question of the opening.
    pub(crate) round_trip: Duration,
    driver: AbortOnDropHandle<()>,
}

/// Why a connection could not be opened, or not be used again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConnectError(String);

impl ConnectError {
    pub(crate) fn new(reason: &impl ToString) -> Self {
        Self(reason.to_string())
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

    async fn opened(&self) -> Result<Connection, ConnectError> {
        let (client, driver) = dial(&self.url, self.timeouts).await?;
        // Diesel would drive it too, and look at each query for a message from the driver; a query fails without that as well.
        let driver = self.open.track_future(async {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
        let driver = AbortOnDropHandle::new(tokio::spawn(driver));
        let mut inner = AsyncPgConnection::try_from(client).await?;
        // With SET and not as startup parameters, which PgBouncer refuses.
        let mut session = Vec::new();
        if !self.url.config().get_options().is_some_and(|options| options.contains("statement_timeout")) {
            session.push(format!("SET statement_timeout = {}", self.timeouts.statement.as_millis()));
        }
        // Never off: an operator may have made the whole database read-only.
        if self.access == Access::Read {
            session.push("SET default_transaction_read_only = on".to_owned());
        }
        let asked = Instant::now();
        inner.batch_execute(&session.join("; ")).await?;
        Ok(Connection { inner, round_trip: asked.elapsed(), driver })
    }
}

impl Connection {
    /// Whether the socket is closed, as far as anybody has noticed. Asks nothing of the server.
    pub(crate) fn is_closed(&self) -> bool {
        self.driver.is_finished()
    }
}

type Driver = tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

async fn dial(url: &DatabaseUrl, timeouts: Timeouts) -> Result<(Client, Driver), ConnectError> {
    let mut config = url.config().clone();
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(timeouts.connect);
    }
    if config.get_application_name().is_none() {
        config.application_name("archipelago");
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
    outcome.unwrap_or_else(|_| Err(ConnectError(format!("no answer within {limit:?}"))))
}

/// The whole chain of causes: tokio-postgres says only "error connecting to server" by itself.
fn explain(error: &tokio_postgres::Error) -> ConnectError {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    ConnectError(causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}")))
}
