//! The state of a world at one moment, for programs and for people.

mod lsn;
pub(crate) mod probe;
mod progress;
mod table;

pub(crate) use progress::PrimaryProgress;

use std::time::Instant;

use serde::{Deserialize, Serialize};
use tokio_postgres::types::PgLsn;

use crate::links::Link;
use crate::server_process::Role;

/// Every server of a world, and every link between two of them. As text it is two tables. In JSON
/// its keys are the names of the fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// In the order in which the world was described.
    pub servers: Vec<ServerStatus>,
    /// The links between the servers' regions, each once, and those to other places where a
    /// [`proxy`](crate::Links::proxy) starts.
    pub links: Vec<LinkStatus>,
}

/// The state of one server. A field that only the server itself can tell is `None` (`null`) if it
/// does not answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServerStatus {
    /// The server's region.
    pub region: String,
    /// `primary` or `replica`. An old primary that was left running is a primary until it rejoins.
    pub role: Role,
    /// `running`, `frozen`, `stopped` or `silent`.
    pub state: ServerState,
    /// The server's port on 127.0.0.1.
    pub port: u16,
    /// As [`Server::timeline`](crate::Server::timeline).
    pub timeline: Option<u32>,
    /// Of a primary: the end of the flushed log.
    #[serde(with = "lsn")]
    pub written: Option<PgLsn>,
    /// Of a replica: the end of the log that it has received.
    #[serde(with = "lsn")]
    pub received: Option<PgLsn>,
    /// Of a replica: the end of the log that it has replayed.
    #[serde(with = "lsn")]
    pub replayed: Option<PgLsn>,
    /// The region of the primary that a replica is set to follow.
    pub follows: Option<String>,
    /// Whether the replica is connected to that primary. A cut is noticed only after a minute, as
    /// in a real network.
    pub streaming: bool,
    /// How much of the primary's log the replica has not replayed; `None` on another timeline.
    pub lag_bytes: Option<u64>,
    /// How long the replica has been behind at least: the time since an earlier status saw the
    /// primary ahead of what this replica shows now. Zero if it is not behind, `None` if no status
    /// saw that.
    pub lag_seconds: Option<f64>,
    /// Whether replay is paused.
    pub replay_paused: bool,
    /// How long the replica holds back each commit; see [`Server::lag`](crate::Server::lag).
    pub apply_delay_ms: u64,
}

/// Whether a server runs and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// It answers.
    Running,
    /// Its processes are stopped by SIGSTOP.
    Frozen,
    /// It has no process.
    Stopped,
    /// It has a process, and did not answer within a second: it may be starting, or overloaded.
    Silent,
}

/// The state of one link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LinkStatus {
    /// One of its ends.
    pub a: String,
    /// The other.
    pub b: String,
    /// How long a message and its answer take while the link is not cut, in milliseconds.
    pub round_trip_ms: f64,
    /// Whether nothing passes.
    pub cut: bool,
    /// Whether its round-trip time was changed.
    pub slowed: bool,
}

impl Status {
    /// Fills in the lag of every server, by the position of the primary in `region` and by what
    /// earlier statuses saw of it.
    pub(crate) fn compare_with_primary(
        &mut self,
        region: &str,
        progress: &mut PrimaryProgress,
        now: Instant,
    ) {
        let primary = self.servers.iter().find(|server| server.region == region);
        let (written, timeline) =
            primary.map_or((None, None), |primary| (primary.written, primary.timeline));
        for server in &mut self.servers {
            server.compare(written.filter(|_| server.timeline == timeline), progress, now);
        }
        if let Some((timeline, written)) = timeline.zip(written) {
            progress.record(timeline, written, now);
        }
    }
}

impl ServerStatus {
    fn compare(&mut self, written: Option<PgLsn>, progress: &PrimaryProgress, now: Instant) {
        let Some((written, replayed)) = written.zip(self.replayed) else { return };
        let behind = u64::from(written).saturating_sub(replayed.into());
        self.lag_bytes = Some(behind);
        self.lag_seconds = if behind == 0 {
            Some(0.0)
        } else {
            progress.behind_for(replayed, now).map(|time| time.as_secs_f64())
        };
    }
}

impl From<Link> for LinkStatus {
    fn from(link: Link) -> Self {
        let Link { a, b, round_trip, cut, slowed, .. } = link;
        Self { a, b, round_trip_ms: round_trip.as_secs_f64() * 1000.0, cut, slowed }
    }
}
