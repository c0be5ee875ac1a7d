//! One server of a world, as those see it who use the world: who it is, how to reach it, and what can be done to it.

mod faults;
mod position;
mod replay;

pub(crate) use position::end_of_record;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use tokio_postgres::{Client, NoTls};

use crate::LabError;
use crate::machine::Machine;
use crate::secrets::{ADMIN, APP};

/// A running, or stopped, PostgreSQL server of a [`World`](crate::World).
#[derive(Debug, Clone)]
pub struct Server {
    machine: Arc<Machine>,
    /// The database of [`url`](Self::url).
    database: Arc<str>,
}

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes writes.
    Primary,
    /// Follows the primary and answers reads.
    Replica,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
        })
    }
}

impl Server {
    pub(crate) fn new(machine: Arc<Machine>, database: Arc<str>) -> Self {
        Self { machine, database }
    }

    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// For whoever is about to harm the server: refused where other tests use it too.
    pub(crate) fn breakable(&self, doing: &'static str) -> Result<&Machine, LabError> {
        self.machine.site.lines.allow(doing).map(|()| &*self.machine)
    }

    /// For what only a replica does.
    fn check_replica(&self) -> Result<(), LabError> {
        match self.role() {
            Role::Primary => Err(LabError::NoReplica { region: self.region().to_owned() }),
            Role::Replica => Ok(()),
        }
    }

    /// The region that this server stands in.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.machine.region
    }

    /// What it is at this moment, as far as the lab made it so.
    #[must_use]
    pub fn role(&self) -> Role {
        self.machine.role()
    }

    /// The timeline that a primary writes; of a replica the newest that it has received something of. Each promotion begins
    /// a new one, with the next number.
    ///
    /// # Errors
    /// When the server is stopped or frozen, or does not answer.
    pub async fn timeline(&self) -> Result<u32, LabError> {
        self.machine.timeline().await
    }

    /// The address that it listens on: this machine only.
    #[must_use]
    pub fn host(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    /// Its port, the same for as long as the world lives.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.machine.port
    }

    /// The URL of the world's database (`app`), as the ordinary role `app` that owns it.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(&self.database)
    }

    /// The URL of another database, as the role `app`.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        url(APP, &self.machine.site.secrets.app, self.address(), database)
    }

    /// The URL of the world's database as seen from a place, whether it has a server or not: through the line from there. In
    /// the server's own region it is [`url`](Self::url).
    ///
    /// # Errors
    /// When there is no free port for another [door](crate::Links::proxy).
    pub fn url_from(&self, place: &str) -> Result<String, LabError> {
        self.url_of_from(&self.database, place)
    }

    /// The URL of another database as seen from a place.
    ///
    /// # Errors
    /// As for [`url_from`](Self::url_from).
    pub fn url_of_from(&self, database: &str, place: &str) -> Result<String, LabError> {
        let Machine { region, site, .. } = &*self.machine;
        let door = site.lines.proxy(place, region, self.address())?;
        Ok(url(APP, &site.secrets.app, door, database))
    }

    /// The URL of database `postgres`, as the superuser. For what the role `app` may not do.
    #[must_use]
    pub fn admin_url(&self) -> String {
        url(ADMIN, &self.machine.site.secrets.admin, self.address(), "postgres")
    }

    /// A session in the world's database, as the role `app`: for a few statements of a test. It lives on the runtime of the caller.
    ///
    /// # Errors
    /// [`LabError::Database`] when the server does not answer.
    pub async fn client(&self) -> Result<Client, LabError> {
        let failed = self.machine.failed_to("let its role app in");
        let (client, connection) =
            tokio_postgres::connect(&self.url(), NoTls).await.map_err(failed)?;
        // It ends with the client; how it ends is what the client's next question hears.
        tokio::spawn(connection);
        Ok(client)
    }

    /// The file with what the server says.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.machine.log()
    }

    /// Whether the server's process is there.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.machine.is_running()
    }

    fn address(&self) -> SocketAddr {
        (self.host(), self.port()).into()
    }
}

fn url(role: &str, password: &str, address: SocketAddr, database: &str) -> String {
    format!("postgres://{role}:{password}@{address}/{}", percent_encoded(database))
}

/// A database may have any name; a URL may not hold any character.
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
