//! The kinds of faults, as a report has them.

use serde::Serialize;

/// The kinds, in the order in which they are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Of a line.
    Cut,
    /// Of a line.
    Slow,
    /// Of a replica or the primary.
    Kill,
    /// Of a replica or the primary.
    Freeze,
    /// Of a replica.
    Pause,
    /// Of a replica.
    Lag,
    /// With the old primary stopped first.
    SwitchOver,
    /// With the old primary crashed.
    FailOver,
    /// With the old primary running.
    SplitBrain,
    /// Of an instance of the app.
    Restart,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Cut,
        Self::Slow,
        Self::Kill,
        Self::Freeze,
        Self::Pause,
        Self::Lag,
        Self::SwitchOver,
        Self::FailOver,
        Self::SplitBrain,
        Self::Restart,
    ];

    /// Its name in a report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Slow => "slow",
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Pause => "pause",
            Self::Lag => "lag",
            Self::SwitchOver => "promote, old one stopped",
            Self::FailOver => "promote, old one crashed",
            Self::SplitBrain => "promote, old one running",
            Self::Restart => "restart of an instance",
        }
    }
}
