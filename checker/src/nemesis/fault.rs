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
    /// Restarts a replica writable on the primary's timeline; undone by a rejoin, as the next two.
    Twin(String),
    /// Replaces a replica by a restored copy of the primary, writable on the next timeline.
    Clone(String),
    /// The same in two regions: two promotions apart, with one number.
    ClonesApart(String, String),
    /// Puts the primary back to an older copy of itself; undone by copying it to every replica.
    PutBack,
    /// Replaces all servers: new ones behind the same URLs have another system identifier and the
    /// rows of the old ones.
    Restore,
    /// Restarts a replica with a clock that is so many seconds ahead, and pauses its replay.
    Clock(String, i64),
    /// An operator ends the app's sessions on a server, again and again.
    EndSessions(String),
    /// The type of a column that every page reads changes, again and again.
    AlterType,
    /// The servers speak German to the app.
    Language,
    /// One connection after the other from the first region to the second vanishes.
    Blackhole(String, String),
    /// The app's role may not call a function that Archipelago uses.
    Revoke(Right),
}

/// A function that a role may be forbidden to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// To commit an empty message, the heartbeat.
    EmitMessage,
    /// To see what a replica receives.
    SeeReceiver,
    /// To read the control file's checkpoint.
    ReadCheckpoint,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::EmitMessage, Self::SeeReceiver, Self::ReadCheckpoint];

    /// The function's signature.
    #[must_use]
    pub fn function(self) -> &'static str {
        match self {
            Self::EmitMessage => "pg_logical_emit_message(boolean, text, text)",
            Self::SeeReceiver => "pg_stat_get_wal_receiver()",
            Self::ReadCheckpoint => "pg_control_checkpoint()",
        }
    }
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
    /// [`Fault::Twin`]
    Twin,
    /// [`Fault::Clone`]
    Clone,
    /// [`Fault::ClonesApart`]
    ClonesApart,
    /// [`Fault::PutBack`]
    PutBack,
    /// [`Fault::Restore`]
    Restore,
    /// [`Fault::Clock`]
    Clock,
    /// [`Fault::EndSessions`]
    EndSessions,
    /// [`Fault::AlterType`]
    AlterType,
    /// [`Fault::Language`]
    Language,
    /// [`Fault::Blackhole`]
    Blackhole,
    /// [`Fault::Revoke`]
    Revoke,
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
            Self::Twin(_) => FaultKind::Twin,
            Self::Clone(_) => FaultKind::Clone,
            Self::ClonesApart(..) => FaultKind::ClonesApart,
            Self::PutBack => FaultKind::PutBack,
            Self::Restore => FaultKind::Restore,
            Self::Clock(..) => FaultKind::Clock,
            Self::EndSessions(_) => FaultKind::EndSessions,
            Self::AlterType => FaultKind::AlterType,
            Self::Language => FaultKind::Language,
            Self::Blackhole(..) => FaultKind::Blackhole,
            Self::Revoke(_) => FaultKind::Revoke,
        }
    }

    /// The regions in which a server takes writes beside the primary while this lasts.
    pub(crate) fn wrong_primaries(&self) -> Vec<&str> {
        match self {
            Self::Twin(region) | Self::Clone(region) => vec![region],
            Self::ClonesApart(a, b) => vec![a, b],
            _ => vec![],
        }
    }

    /// The regions that it hits while `primary` is the primary's region.
    pub(super) fn regions(&self, primary: &str) -> Vec<String> {
        match self {
            Self::Cut(a, b)
            | Self::Slow(a, b, _)
            | Self::ClonesApart(a, b)
            | Self::Blackhole(a, b) => vec![a.clone(), b.clone()],
            Self::Kill(region)
            | Self::Freeze(region)
            | Self::PauseReplay(region)
            | Self::Lag(region, _)
            | Self::RestartApp(region)
            | Self::Twin(region)
            | Self::Clone(region)
            | Self::Clock(region, _)
            | Self::EndSessions(region) => vec![region.clone()],
            Self::PutBack | Self::Restore | Self::AlterType | Self::Language | Self::Revoke(_) => {
                vec![primary.to_owned()]
            }
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
            Self::Twin(region) => write!(f, "restart {region} writable"),
            Self::Clone(region) => write!(f, "replace {region} by a clone"),
            Self::ClonesApart(a, b) => write!(f, "replace {a} and {b} by a clone each"),
            Self::PutBack => f.write_str("put the primary back"),
            Self::Restore => f.write_str("restore into new servers"),
            Self::Clock(region, seconds) => {
                write!(f, "set the clock in {region} to {seconds:+} s, and pause replay there")
            }
            Self::EndSessions(region) => write!(f, "end sessions in {region}"),
            Self::AlterType => f.write_str("alter a column's type"),
            Self::Language => f.write_str("speak German"),
            Self::Blackhole(a, b) => write!(f, "let connections from {a} to {b} vanish"),
            Self::Revoke(right) => write!(f, "revoke {}", right.function()),
        }
    }
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [Self; 21] = [
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
        Self::Twin,
        Self::Clone,
        Self::ClonesApart,
        Self::PutBack,
        Self::Restore,
        Self::Clock,
        Self::EndSessions,
        Self::AlterType,
        Self::Language,
        Self::Blackhole,
        Self::Revoke,
    ];

    /// Whether a server may crash, which loses what it had not flushed.
    pub(crate) fn crashes_a_server(self) -> bool {
        matches!(self, Self::Kill | Self::FailOver | Self::SplitBrain | Self::PutBack)
    }

    /// Whether all data is replaced, which instances have longer to notice than other faults.
    pub(crate) fn replaces_the_data(self) -> bool {
        matches!(self, Self::PutBack | Self::Restore)
    }

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
            Self::Twin => "writable twin",
            Self::Clone => "clone",
            Self::ClonesApart => "two clones",
            Self::PutBack => "put back",
            Self::Restore => "restore",
            Self::Clock => "clock",
            Self::EndSessions => "ended sessions",
            Self::AlterType => "altered type",
            Self::Language => "language",
            Self::Blackhole => "blackhole",
            Self::Revoke => "revoked right",
        }
    }
}
