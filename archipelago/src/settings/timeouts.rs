//! The bounds on waiting for a database.

use std::time::Duration;

/// The bounds on every wait for a database. They are shorter than those of the crates underneath:
/// those would let a dead replica hold each caller for 30 s (bb8's `connection_timeout`) or
/// without end (tokio-postgres has no connect timeout).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For one address of a host to accept a TCP connection: 2 s, seven crossings of the longest
    /// line on Earth.
    pub connect: Duration,
    /// For a caller to get a connection, opening one included: 3 s. A refused connection is an
    /// error at once.
    pub checkout: Duration,
    /// For one statement: 10 s. The server ends it by its own `statement_timeout`; one second later
    /// the caller stops waiting for the server.
    pub statement: Duration,
    /// For a transaction or a snapshot, from BEGIN to its end: 30 s. The limit on each statement
    /// holds as well.
    pub transaction: Duration,
    /// For a connection to be idle before it is closed: 4 min, below the 300 s of Fly's
    /// `PgBouncer`.
    pub idle: Duration,
    /// For a connection to be replaced by a new one: 9 min, below the 600 s of Fly's `PgBouncer`.
    /// The new one resolves the host again.
    pub lifetime: Duration,
    /// For queries in flight to end at a shutdown, in all pools together: 10 s.
    pub shutdown: Duration,
}

impl Timeouts {
    /// For the answer to a statement. The server ends a slow statement itself; the extra second
    /// tells a slow statement from a silent server.
    pub(crate) fn answer(&self) -> Duration {
        self.statement + Duration::from_secs(1)
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            checkout: Duration::from_secs(3),
            statement: Duration::from_secs(10),
            transaction: Duration::from_secs(30),
            idle: Duration::from_mins(4),
            lifetime: Duration::from_mins(9),
            shutdown: Duration::from_secs(10),
        }
    }
}
