//! What can be done to the world, as one value that is planned, printed, done and undone.

mod kind;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

pub use kind::Kind;

/// What becomes of the old primary at a promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Old {
    /// It is stopped first, so that nothing is lost.
    Stopped,
    /// It has crashed: what had not reached the new one is lost.
    Crashed,
    /// It runs on and takes writes: a split brain, for as long as it lasts.
    Running,
}

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Fault {
    /// Nothing passes between two regions.
    Cut(String, String),
    /// The line between two regions has a longer round trip.
    Slow(String, String, Duration),
    /// A server crashes, and is started at the end.
    Kill(String),
    /// A server hangs, and goes on at the end.
    Freeze(String),
    /// A replica receives, and shows nothing newer.
    Pause(String),
    /// A replica shows each commit so much later.
    Lag(String, Duration),
    /// A replica becomes the primary; at the end the old one becomes its replica.
    Promote {
        /// The new primary.
        region: String,
        /// What becomes of the one before it.
        old: Old,
    },
    /// The instance of the app in a region is stopped in order, and started at the end.
    Restart(String),
}

impl Fault {
    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Cut(..) => Kind::Cut,
            Self::Slow(..) => Kind::Slow,
            Self::Kill(_) => Kind::Kill,
            Self::Freeze(_) => Kind::Freeze,
            Self::Pause(_) => Kind::Pause,
            Self::Lag(..) => Kind::Lag,
            Self::Promote { old: Old::Stopped, .. } => Kind::SwitchOver,
            Self::Promote { old: Old::Crashed, .. } => Kind::FailOver,
            Self::Promote { old: Old::Running, .. } => Kind::SplitBrain,
            Self::Restart(_) => Kind::Restart,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(a, b) => write!(f, "cut {a}–{b}"),
            Self::Slow(a, b, round_trip) => write!(f, "slow {a}–{b} to {round_trip:?}"),
            Self::Kill(region) => write!(f, "kill {region}"),
            Self::Freeze(region) => write!(f, "freeze {region}"),
            Self::Pause(region) => write!(f, "pause {region}"),
            Self::Lag(region, delay) => write!(f, "lag {region} by {delay:?}"),
            Self::Promote { region, old: Old::Stopped } => {
                write!(f, "promote {region}, the old primary stopped first")
            }
            Self::Promote { region, old: Old::Crashed } => {
                write!(f, "kill the primary and promote {region}")
            }
            Self::Promote { region, old: Old::Running } => {
                write!(f, "promote {region}, the old primary left running")
            }
            Self::Restart(region) => write!(f, "restart the instance in {region}"),
        }
    }
}

/// A fault that was, and when it was felt. Times count from the beginning of the round.
#[derive(Clone, Debug, Serialize)]
pub struct Happened {
    /// Which.
    pub fault: Fault,
    /// Before it was done.
    pub from: Duration,
    /// After it was undone. A server that was started or made anew follows the primary again; after a cut, a slow line, a pause or a
    /// lag, replicas may still be behind.
    pub until: Duration,
}

impl Happened {
    /// Whether it was felt in a stretch of time.
    #[must_use]
    pub fn overlaps(&self, from: Duration, until: Duration) -> bool {
        self.from <= until && from <= self.until
    }
}
