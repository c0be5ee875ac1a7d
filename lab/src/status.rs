//! What a world is like at one moment.

mod ask;
mod lsn;
mod memory;
mod table;

pub(crate) use memory::Memory;

use std::time::Instant;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio_postgres::types::PgLsn;

use crate::{Link, Role, Server, World};

/// Every server of a world, and every line between two of them. As JSON its keys are the names of the fields, and stay; as
/// text it is two tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// In the order of the description.
    pub servers: Vec<ServerStatus>,
    /// The lines between their regions, each once, and those from other places with a [`door`](crate::Links::proxy).
    pub links: Vec<LinkStatus>,
}

/// One server. What only a server that answers can tell is `None` (`null`) where it does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServerStatus {
    /// Where it stands.
    pub region: String,
    /// `primary` or `replica`. An old primary that was left running is one until it rejoins.
    pub role: Role,
    /// `running`, `frozen`, `stopped` or `silent`.
    pub state: ServerState,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// As [`Server::timeline`](crate::Server::timeline).
    pub timeline: Option<u32>,
    /// Of a primary, the end of its log: what is flushed.
    #[serde(with = "lsn")]
    pub written: Option<PgLsn>,
    /// Of a replica, how far it has the log.
    #[serde(with = "lsn")]
    pub received: Option<PgLsn>,
    /// Of a replica, how far it shows the log.
    #[serde(with = "lsn")]
    pub replayed: Option<PgLsn>,
    /// The region that a replica is to follow.
    pub follows: Option<String>,
    /// Whether it is connected to that one. A cut is noticed after a minute only, as on a real line.
    pub streaming: bool,
    /// How much of the log of the primary it does not show yet. `None` on another timeline than the primary's, too.
    pub lag_bytes: Option<u64>,
    /// How long it is behind at least: the time since an earlier status saw the primary with more than this replica shows
    /// now. Zero where no bytes are behind, and `None` where no earlier status saw that.
    pub lag_seconds: Option<f64>,
    /// Whether its replay is paused.
    pub replay_paused: bool,
    /// How long it holds back each commit; [`Server::lag`](crate::Server::lag).
    pub apply_delay_ms: u64,
}

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// It answers.
    Running,
    /// Its processes stand still.
    Frozen,
    /// It has no process.
    Stopped,
    /// It has a process, and did not answer within a second: it may be starting, or overloaded.
    Silent,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LinkStatus {
    /// One of its ends.
    pub a: String,
    /// The other.
    pub b: String,
    /// What a message and its answer take, in milliseconds, when it is not cut.
    pub round_trip_ms: f64,
    /// Whether nothing passes.
    pub cut: bool,
    /// Whether somebody changed its round-trip time.
    pub slowed: bool,
}

impl World {
    /// Asks all servers at once how they are, past the lines. It takes a second at most: a server that has not answered by
    /// then is shown as silent.
    pub async fn status(&self) -> Status {
        let servers = join_all(self.servers().map(|server| ask::ask(server.machine()))).await;
        let mut status = Status {
            servers,
            links: self.lines_in_use().into_iter().map(LinkStatus::from).collect(),
        };
        let primary = status.servers.iter().find(|server| server.region == self.primary().region());
        let (written, timeline) =
            primary.map_or((None, None), |primary| (primary.written, primary.timeline));
        let (mut memory, now) = (self.machines.memory(), Instant::now());
        for server in &mut status.servers {
            server.compare(written.filter(|_| server.timeline == timeline), &memory, now);
        }
        if let Some((timeline, written)) = timeline.zip(written) {
            memory.note(timeline, written, now);
        }
        status
    }

    fn lines_in_use(&self) -> Vec<Link> {
        let users = self.links().in_use();
        let users = users.iter().map(String::as_str).filter(|place| self.server(place).is_none());
        let places: Vec<&str> = self.servers().map(Server::region).chain(users).collect();
        let lines = self.links().among(&places).into_iter();
        // From one place without a server to another nothing ever goes.
        lines.filter(|line| self.server(&line.a).is_some()).collect()
    }
}

impl ServerStatus {
    fn compare(&mut self, written: Option<PgLsn>, memory: &Memory, now: Instant) {
        let Some((written, replayed)) = written.zip(self.replayed) else { return };
        let behind = u64::from(written).saturating_sub(replayed.into());
        self.lag_bytes = Some(behind);
        self.lag_seconds = if behind == 0 {
            Some(0.0)
        } else {
            memory.behind_for(replayed, now).map(|time| time.as_secs_f64())
        };
    }
}

impl From<Link> for LinkStatus {
    fn from(line: Link) -> Self {
        let Link { a, b, round_trip, cut, slowed, .. } = line;
        Self { a, b, round_trip_ms: round_trip.as_secs_f64() * 1000.0, cut, slowed }
    }
}
