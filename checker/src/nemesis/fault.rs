//! The faults that a run can inject; each is one value that is planned, applied, undone, printed.

use std::fmt;
use std::time::Duration;

/// What becomes of the old primary at a promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldPrimary {
    /// It stops first, so that no write is lost.
    Stopped,
    /// It crashes; writes that the new primary has not received are lost.
    Crashed,
    /// It keeps running and takes writes: a split brain until it rejoins.
    Running,
}

/// A fault, named by the regions that it hits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Drops all traffic between two regions.
    Cut(String, String),
    /// Raises the round trip between two regions to this time.
    Slow(String, String, Duration),
    /// Crashes a server; undone by starting it.
    Kill(String),
    /// Suspends a server's processes; undone by resuming them.
    Freeze(String),
    /// Pauses replay: the replica receives the log and shows nothing newer.
    PauseReplay(String),
    /// Delays replay: the replica shows each commit this much later.
    Lag(String, Duration),
    /// Promotes a replica; undone when the old primary rejoins as its replica.
    Promote {
        /// The region of the new primary.
        region: String,
        /// What becomes of the primary before it.
        old: OldPrimary,
    },
    /// Shuts the region's instance of the app down; undone by starting it.
    RestartApp(String),
}

/// The kinds of faults, in the order of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// [`Fault::Cut`]
    Cut,
    /// [`Fault::Slow`]
    Slow,
    /// [`Fault::Kill`]
    Kill,
    /// [`Fault::Freeze`]
    Freeze,
    /// [`Fault::PauseReplay`]
    PauseReplay,
    /// [`Fault::Lag`]
    Lag,
    /// [`Fault::Promote`] with [`OldPrimary::Stopped`]
    SwitchOver,
    /// [`Fault::Promote`] with [`OldPrimary::Crashed`]
    FailOver,
    /// [`Fault::Promote`] with [`OldPrimary::Running`]
    SplitBrain,
    /// [`Fault::RestartApp`]
    RestartApp,
}

impl Fault {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Cut(..) => FaultKind::Cut,
            Self::Slow(..) => FaultKind::Slow,
            Self::Kill(_) => FaultKind::Kill,
            Self::Freeze(_) => FaultKind::Freeze,
            Self::PauseReplay(_) => FaultKind::PauseReplay,
            Self::Lag(..) => FaultKind::Lag,
            Self::Promote { old: OldPrimary::Stopped, .. } => FaultKind::SwitchOver,
            Self::Promote { old: OldPrimary::Crashed, .. } => FaultKind::FailOver,
            Self::Promote { old: OldPrimary::Running, .. } => FaultKind::SplitBrain,
            Self::RestartApp(_) => FaultKind::RestartApp,
        }
    }

    /// The regions that it hits while `primary` is the primary's region.
    pub(super) fn regions(&self, primary: &str) -> Vec<String> {
        match self {
            Self::Cut(a, b) | Self::Slow(a, b, _) => vec![a.clone(), b.clone()],
            Self::Kill(region)
            | Self::Freeze(region)
            | Self::PauseReplay(region)
            | Self::Lag(region, _)
            | Self::RestartApp(region) => vec![region.clone()],
            Self::Promote { region, .. } => vec![region.clone(), primary.to_owned()],
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
            Self::PauseReplay(region) => write!(f, "pause replay in {region}"),
            Self::Lag(region, delay) => write!(f, "lag {region} by {delay:?}"),
            Self::Promote { region, old: OldPrimary::Stopped } => {
                write!(f, "stop the primary and promote {region}")
            }
            Self::Promote { region, old: OldPrimary::Crashed } => {
                write!(f, "kill the primary and promote {region}")
            }
            Self::Promote { region, old: OldPrimary::Running } => {
                write!(f, "promote {region} and leave the old primary running")
            }
            Self::RestartApp(region) => write!(f, "restart the app in {region}"),
        }
    }
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::Cut,
        Self::Slow,
        Self::Kill,
        Self::Freeze,
        Self::PauseReplay,
        Self::Lag,
        Self::SwitchOver,
        Self::FailOver,
        Self::SplitBrain,
        Self::RestartApp,
    ];

    /// Its name in a report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Slow => "slow",
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::PauseReplay => "pause replay",
            Self::Lag => "lag",
            Self::SwitchOver => "switchover",
            Self::FailOver => "failover",
            Self::SplitBrain => "split brain",
            Self::RestartApp => "app restart",
        }
    }
}
