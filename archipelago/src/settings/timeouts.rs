//! How long a database may keep somebody waiting.

use std::time::Duration;

/// The bounds on every wait for a database. They are shorter than the crates' own, by which a dead replica may hold each
/// caller for 30 s (bb8's `connection_timeout`) or for ever (tokio-postgres has no connect timeout).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For one address of a host to accept a TCP connection: 2 s, seven crossings of the longest line on Earth.
    pub connect: Duration,
    /// For a caller to get a connection, opening one included: 3 s. A refused connection is reported at once.
    pub checkout: Duration,
    /// For one statement: 10 s. The server ends it by its own `statement_timeout`; a second later we stop waiting for that.
    pub statement: Duration,
    /// For a transaction or a snapshot, from its BEGIN to its end: 30 s. Each of its statements has its own limit as well.
    pub transaction: Duration,
    /// For a connection to sit unused before it is closed: 4 min, below the 300 s of Fly's `PgBouncer`.
    pub idle: Duration,
    /// For a connection to live: 9 min, below the 600 s of Fly's `PgBouncer`; it also follows a host whose addresses change.
    pub lifetime: Duration,
    /// For queries in flight to end at a shutdown, in all pools together: 10 s.
    pub shutdown: Duration,
}

impl Timeouts {
    /// For the answer to a statement: the server ends a slow one by itself, and the second more is for a server that is silent.
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
