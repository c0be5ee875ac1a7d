//! One connection: opened, encrypted as the URL asks, and told how to behave.

use std::time::Duration;

use bb8::ManageConnection;
use diesel_async::pooled_connection::PoolableConnection;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::{Access, DatabaseUrl, Timeouts};

impl DatabaseUrl {
    /// One connection outside any pool, to read and write without a limit on a statement's time: for migrations.
    ///
    /// # Errors
    /// What the operating system, the TLS library or the server said.
    pub async fn connect(&self) -> Result<AsyncPgConnection, ConnectError> {
        let mut connection = open(self.clone(), Access::Write, Timeouts::default()).await?;
        connection.batch_execute("SET statement_timeout = 0").await.map_err(|error| ConnectError(error.to_string()))?;
        Ok(connection)
    }
}

/// Opens the connections of one pool.
pub(crate) struct Connector {
    pub(crate) url: DatabaseUrl,
    pub(crate) access: Access,
    pub(crate) timeouts: Timeouts,
    /// Drives the sockets. It outlives an Actix worker, whose own runtime ends while its neighbours still finish requests.
    pub(crate) runtime: Handle,
    /// Counts the connections that are open.
    pub(crate) open: TaskTracker,
    /// Why the last attempt failed.
    pub(crate) failure: watch::Sender<String>,
}

/// A connection of a pool.
pub(crate) struct Connection {
    pub(crate) inner: AsyncPgConnection,
    /// A statement was sent and its answer has not been seen: true for ever after a timeout or a dropped future, and then the
    /// connection is closed instead of handed to somebody else.
    pub(crate) in_flight: bool,
    _open: TaskTrackerToken,
}

/// Why a connection could not be opened, or not be used again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConnectError(String);

impl ManageConnection for Connector {
    type Connection = Connection;
    type Error = ConnectError;

    async fn connect(&self) -> Result<Connection, ConnectError> {
        let open = open(self.url.clone(), self.access, self.timeouts);
        let outcome = match self.runtime.spawn(open).await {
            Ok(outcome) => outcome,
            Err(stopped) => Err(ConnectError(stopped.to_string())),
        };
        match outcome {
            Ok(inner) => Ok(Connection { inner, in_flight: false, _open: self.open.token() }),
            Err(error) => {
                self.failure.send_replace(error.to_string());
                Err(error)
            }
        }
    }

    /// Asks nothing of the server: a socket that was closed is known to be closed, and a query says the rest.
    async fn is_valid(&self, connection: &mut Connection) -> Result<(), ConnectError> {
        if self.has_broken(connection) { Err(ConnectError("the server closed the connection".to_owned())) } else { Ok(()) }
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.in_flight || connection.inner.is_broken()
    }
}

async fn open(url: DatabaseUrl, access: Access, timeouts: Timeouts) -> Result<AsyncPgConnection, ConnectError> {
    let connecting = async {
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
        let (client, connection) = config.connect(url.tls().connector()).await.map_err(|error| explain(&error))?;
        let mut connection = AsyncPgConnection::try_from_client_and_connection(client, connection)
            .await
            .map_err(|error| ConnectError(error.to_string()))?;
        // With SET and not as startup parameters, which PgBouncer refuses.
        let mut session = Vec::new();
        if !config.get_options().is_some_and(|options| options.contains("statement_timeout")) {
            session.push(format!("SET statement_timeout = {}", timeouts.statement.as_millis()));
        }
        // Never off: an operator may have made the whole database read-only.
        if access == Access::Read {
            session.push("SET default_transaction_read_only = on".to_owned());
        }
        connection.batch_execute(&session.join("; ")).await.map_err(|error| ConnectError(error.to_string()))?;
        Ok(connection)
    };
    match tokio::time::timeout(timeouts.checkout, connecting).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ConnectError(format!("no answer within {:?}", timeouts.checkout))),
    }
}

/// The whole chain of causes: tokio-postgres says only "error connecting to server" by itself.
fn explain(error: &tokio_postgres::Error) -> ConnectError {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    ConnectError(causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}")))
}
