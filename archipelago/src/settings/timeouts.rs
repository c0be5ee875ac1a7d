//! The bounds on waiting for a database.

use std::time::Duration;

use super::settings_error::{SettingProblem, SettingsError};

/// The shortest: less than a millisecond would be no limit to Postgres.
const SHORTEST: Duration = Duration::from_millis(1);

/// The longest that Postgres takes, 24 days: the milliseconds of an `i32`.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// The bounds on every wait for a database, each from 1 ms to 24 days.
///
/// The defaults are shorter than those of the crates underneath. Those would let a dead replica hold
/// each caller for 30 s (bb8's `connection_timeout`) or without end (tokio-postgres has no connect
/// timeout).
///
/// ```
/// use std::time::Duration;
///
/// use archipelago::Timeouts;
///
/// # fn example() -> Result<(), archipelago::SettingsError> {
/// let timeouts = Timeouts::default()
///     .with_statement(Duration::from_secs(5))?
///     .with_transaction(Duration::from_secs(20))?;
/// assert_eq!(timeouts.statement(), Duration::from_secs(5));
/// # Ok(())
/// # }
/// # example().unwrap();
/// assert!(Timeouts::default().with_statement(Duration::MAX).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) checkout: Duration,
    pub(crate) statement: Duration,
    pub(crate) transaction: Duration,
    pub(crate) idle: Duration,
    pub(crate) lifetime: Duration,
    pub(crate) shutdown: Duration,
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

macro_rules! bounds {
    ($($(#[$doc:meta])* $name:ident, $set:ident;)*) => {
        impl Timeouts {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(&self) -> Duration {
                    self.$name
                }

                #[doc = concat!("Sets [`", stringify!($name), "`](Self::", stringify!($name), ").")]
                ///
                /// # Errors
                /// When it is shorter than 1 ms or longer than 24 days.
                pub fn $set(mut self, limit: Duration) -> Result<Self, SettingsError> {
                    self.$name = checked(stringify!($name), limit)?;
                    Ok(self)
                }
            )*
        }
    };
}

bounds! {
    /// For one address of a host to accept a TCP connection: 2 s, seven crossings of the longest
    /// line on Earth.
    connect, with_connect;
    /// For a caller to get a connection, opening one included: 3 s. A refused connection is an
    /// error at once.
    checkout, with_checkout;
    /// For one statement: 10 s. The server ends it by its own `statement_timeout`; one second later
    /// the caller stops waiting for the server.
    statement, with_statement;
    /// For a transaction or a snapshot, from BEGIN to its end: 30 s. The limit on each statement
    /// holds as well.
    transaction, with_transaction;
    /// For a connection to be idle before it is closed: 4 min, below the 300 s of Fly's
    /// `PgBouncer`.
    idle, with_idle;
    /// For a connection to be replaced by a new one: 9 min, below the 600 s of Fly's `PgBouncer`.
    /// The new one resolves the host again.
    lifetime, with_lifetime;
    /// For queries in flight to end at a shutdown, in all pools together: 10 s.
    shutdown, with_shutdown;
}

impl Timeouts {
    /// For the answer to a statement. The server ends a slow statement itself; the extra second
    /// tells a slow statement from a silent server.
    pub(crate) fn answer(&self) -> Duration {
        self.statement + Duration::from_secs(1)
    }
}

fn checked(name: &str, limit: Duration) -> Result<Duration, SettingProblem> {
    if (SHORTEST..=LONGEST).contains(&limit) {
        return Ok(limit);
    }
    Err(SettingProblem::Invalid {
        name: format!("the timeout `{name}`"),
        value: format!("{limit:?}"),
        advice: "write a duration from 1 ms to 24 days".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_bounds() {
        for good in [SHORTEST, Duration::from_micros(1500), Duration::from_hours(24), LONGEST] {
            assert_eq!(Timeouts::default().with_idle(good).unwrap().idle(), good);
        }
        let over = LONGEST + Duration::from_nanos(1);
        for wrong in [Duration::ZERO, Duration::from_micros(999), over, Duration::MAX] {
            let error = Timeouts::default().with_idle(wrong).unwrap_err().to_string();
            assert!(error.starts_with("the timeout `idle` is `"), "{error}");
        }
    }
}
