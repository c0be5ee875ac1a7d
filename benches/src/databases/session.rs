//! A superuser's session at a server, which counts what applications do there.

use std::time::Duration;

use archipelago_lab::{PgLsn, Server};
use procfs::process::Process;
use tokio_postgres::{Client, NoTls};

use crate::Failed;

/// The most time that the connections of a contender that has stopped may take to end.
const DEADLINE: Duration = Duration::from_mins(2);

/// A session of the superuser.
pub struct AdminSession {
    client: Client,
    /// The process that is the parent of all other processes of the server.
    pub postmaster: i32,
}

impl AdminSession {
    /// Connects to a server.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn new(server: &Server) -> Result<Self, Failed> {
        let (client, connection) = tokio_postgres::connect(&server.admin_url(), NoTls).await?;
        tokio::spawn(connection);
        let backend: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
        let postmaster = Process::new(backend)?.stat()?.ppid;
        Ok(Self { client, postmaster })
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    pub async fn execute(&self, statement: &str) -> Result<(), Failed> {
        Ok(self.client.batch_execute(statement).await?)
    }

    /// The value of a setting.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn setting(&self, name: &str) -> Result<String, Failed> {
        Ok(self.client.query_one("SELECT current_setting($1)", &[&name]).await?.get(0))
    }

    /// How many connections applications have open.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn connections(&self) -> Result<i64, Failed> {
        self.count("true").await
    }

    /// How many connections Archipelago's pools have open, without the monitor's.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn pooled_connections(&self) -> Result<i64, Failed> {
        self.count("application_name = 'archipelago'").await
    }

    /// How many of these connections are idle.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn idle_connections(&self) -> Result<i64, Failed> {
        self.count("state = 'idle'").await
    }

    /// The end of a primary's log, in bytes.
    ///
    /// # Errors
    /// When the server does not answer or is not a primary.
    pub async fn log_position(&self) -> Result<u64, Failed> {
        let position = self.client.query_one("SELECT pg_current_wal_insert_lsn()", &[]).await?;
        Ok(position.get::<_, PgLsn>(0).into())
    }

    /// Waits until applications have no connection open.
    ///
    /// # Errors
    /// When a connection stays open, or the server does not answer.
    pub async fn wait_until_unused(&self) -> Result<(), Failed> {
        let unused = async {
            while self.connections().await? > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        };
        tokio::time::timeout(DEADLINE, unused).await?
    }

    async fn count(&self, condition: &str) -> Result<i64, Failed> {
        let of_apps = "backend_type = 'client backend' AND usename <> current_user";
        let count =
            format!("SELECT count(*) FROM pg_stat_activity WHERE {of_apps} AND {condition}");
        Ok(self.client.query_one(&count, &[]).await?.get(0))
    }
}
