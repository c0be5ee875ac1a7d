//! One server of a world: who it is and how to reach it.

mod follow;
mod lifecycle;
pub(crate) mod log;
mod position;
mod replay;
mod run;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_postgres::Client;

use crate::LabError;
use crate::process::Process;
use crate::secrets::{ADMIN, APP};
use crate::session;
use crate::site::Site;

/// A running, or stopped, PostgreSQL server of a [`World`](crate::World).
#[derive(Debug)]
pub struct Server {
    region: String,
    port: u16,
    /// The port of the primary that this replica follows.
    upstream: Option<u16>,
    site: Arc<Site>,
    process: Mutex<Option<Process>>,
    /// Held while the server starts or stops, so that two callers do not do both at once.
    changing: tokio::sync::Mutex<()>,
}

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// The region that this server stands in.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// What it was started as.
    #[must_use]
    pub fn role(&self) -> Role {
        if self.upstream.is_some() { Role::Replica } else { Role::Primary }
    }

    /// The address that it listens on: this machine only.
    #[must_use]
    pub fn host(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    /// Its port, the same for as long as the world lives.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of database `app`, as the ordinary role `app` that owns it.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(APP)
    }

    /// The URL of another database, as the role `app`.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        self.url_as(APP, &self.site.secrets.app, database)
    }

    /// The URL of database `postgres`, as the superuser. For what the role `app` may not do.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.url_as(ADMIN, &self.site.secrets.admin, "postgres")
    }

    /// The file with what the server says.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.site.place.log(&self.region)
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// The folder with its data.
    fn data(&self) -> PathBuf {
        match self.role() {
            Role::Primary => self.site.place.primary(),
            Role::Replica => self.site.place.replica(&self.region),
        }
    }

    /// A superuser's session on this server.
    pub(crate) async fn session(&self, doing: &'static str) -> Result<Client, LabError> {
        if !self.is_running() {
            return Err(LabError::NotRunning { region: self.region.clone() });
        }
        session::open(self.port, &self.site.secrets.admin).await.map_err(self.failed_to(doing))
    }

    /// For `map_err` on what a session answers.
    pub(crate) fn failed_to(&self, doing: &'static str) -> impl Fn(tokio_postgres::Error) -> LabError + '_ {
        move |source| LabError::Database { region: self.region.clone(), doing, source }
    }

    pub(crate) fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn url_as(&self, role: &str, password: &str, database: &str) -> String {
        let (host, port) = (self.host(), self.port);
        format!("postgres://{role}:{password}@{host}:{port}/{}", percent_encoded(database))
    }
}

/// A database may have any name; a URL may not hold any character.
fn percent_encoded(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
