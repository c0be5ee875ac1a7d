//! The public handle to one server of a world: what it is, how to reach it, what can be done to it.

mod faults;
mod replay;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio_postgres::{Client, NoTls};

use crate::LabError;
use crate::passwords::{ADMIN, APP};
use crate::server_process::{Role, ServerProcess};

/// A running, or stopped, PostgreSQL server of a [`World`](crate::World).
#[derive(Debug, Clone)]
pub struct Server {
    process: Arc<ServerProcess>,
    /// The database of [`url`](Self::url).
    database: Arc<str>,
}

impl Server {
    pub(crate) fn new(process: Arc<ServerProcess>, database: Arc<str>) -> Self {
        Self { process, database }
    }

    pub(crate) fn process(&self) -> &ServerProcess {
        &self.process
    }

    /// The server, to be harmed by doing this. Refused if other tests use it too.
    pub(crate) fn not_shared(&self, doing: &'static str) -> Result<&ServerProcess, LabError> {
        self.process.context.links.check_not_shared(doing).map(|()| &*self.process)
    }

    /// Refuses what only a replica can do.
    fn check_replica(&self) -> Result<(), LabError> {
        match self.role() {
            Role::Primary => Err(LabError::NotAReplica { region: self.region().to_owned() }),
            Role::Replica => Ok(()),
        }
    }

    /// The server's region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.process.region
    }

    /// The server's present role, as the lab made it.
    #[must_use]
    pub fn role(&self) -> Role {
        self.process.role()
    }

    /// The timeline that a primary writes, or the newest of which a replica has received something.
    /// Each promotion begins a new one, with the next number.
    ///
    /// # Errors
    /// If the server is stopped or frozen, or does not answer.
    pub async fn timeline(&self) -> Result<u32, LabError> {
        self.process.timeline().await
    }

    /// The address that the server listens on, which only this machine can reach.
    #[must_use]
    pub fn host(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    /// The server's port, the same for as long as the world lives.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.process.port
    }

    /// The URL of the world's database (`app`) for the ordinary role `app`, which owns it. In a
    /// test on shared servers it leads to the test's own database.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(&self.database)
    }

    /// The URL of another database for the role `app`.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        url(APP, &self.process.context.passwords.app, self.address(), database)
    }

    /// The URL of the world's database for a program in another place, with or without a server
    /// there: over the link between the two. In the server's own region it is [`url`](Self::url).
    ///
    /// # Errors
    /// If there is no free port for another [proxy](crate::Links::proxy).
    pub fn url_from(&self, place: &str) -> Result<String, LabError> {
        self.url_of_from(&self.database, place)
    }

    /// The URL of another database for a program in another place, as [`url_from`](Self::url_from).
    ///
    /// # Errors
    /// If there is no free port for another [proxy](crate::Links::proxy).
    pub fn url_of_from(&self, database: &str, place: &str) -> Result<String, LabError> {
        let ServerProcess { region, context, .. } = &*self.process;
        let proxy = context.links.proxy(place, region, self.address())?;
        Ok(url(APP, &context.passwords.app, proxy, database))
    }

    /// The URL of the database `postgres` for the superuser, who may do what the role `app` may
    /// not.
    #[must_use]
    pub fn admin_url(&self) -> String {
        url(ADMIN, &self.process.context.passwords.admin, self.address(), "postgres")
    }

    /// A session of the role `app` in the world's database, for a few statements of a test. It is
    /// bound to the caller's runtime.
    ///
    /// # Errors
    /// [`LabError::Database`] if the server does not answer.
    pub async fn client(&self) -> Result<Client, LabError> {
        let failed = self.process.failed_to("let its role app in");
        let (client, connection) =
            tokio_postgres::connect(&self.url(), NoTls).await.map_err(failed)?;
        // The task ends with the client. If it fails, the client's next query returns the error.
        tokio::spawn(connection);
        Ok(client)
    }

    /// The file that the server logs to.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.process.log_file()
    }

    /// Whether the server's process exists; a frozen one does too.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    fn address(&self) -> SocketAddr {
        (self.host(), self.port()).into()
    }
}

fn url(role: &str, password: &str, address: SocketAddr, database: &str) -> String {
    format!("postgres://{role}:{password}@{address}/{}", percent_encoded(database))
}

/// A database name may hold characters that a URL may not.
fn percent_encoded(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
