//! The kinds of violations.

use std::fmt;

use serde::Serialize;

/// The kinds of violations; each names the promise that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Anomaly {
    /// An acknowledged write is missing at the end. Promise: only a promotion discards a write, and
    /// only one that the new primary has not received.
    LostWrite,
    /// An old primary took a write. Promise: an instance that knows the new primary sends writes
    /// nowhere else, and every instance learns of it within [`MARGIN`](super::MARGIN).
    WriteToOldPrimary,
    /// A server that says it is a primary, and is not the one that leads, answered. Promise: only the
    /// leader answers as a primary.
    WrongPrimary,
    /// A read showed what the primary had lost when it went back to an older copy. Promise: a
    /// replica that is ahead of its primary serves nothing.
    LostHistoryServed,
    /// A create that was sent several times made two users. Promise: one idempotency key makes one.
    DuplicateCreate,
    /// A write took effect although its answer says that nothing was saved (Adya's aborted read,
    /// G1a). Promise: such an answer is true.
    FailedWriteVisible,
    /// A client did not see its own write. Promise: read your writes.
    OwnWriteMissing,
    /// A client saw an older version than before. Promise: monotonic reads.
    NonMonotonicRead,
    /// A read was older than `max_lag`, or than the age that it states. Promise: bounded staleness.
    StaleRead,
    /// A read was marked as stale while the primary could be reached. Promise: it is served stale
    /// only if it has to be.
    NeedlesslyStale,
    /// A read failed, or took longer than [`MARGIN`](super::MARGIN), while a fresh enough server could
    /// be reached. Promise: it is served then.
    NeedlesslyFailed,
}

impl Anomaly {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::LostWrite,
        Self::WriteToOldPrimary,
        Self::WrongPrimary,
        Self::LostHistoryServed,
        Self::DuplicateCreate,
        Self::FailedWriteVisible,
        Self::OwnWriteMissing,
        Self::NonMonotonicRead,
        Self::StaleRead,
        Self::NeedlesslyStale,
        Self::NeedlesslyFailed,
    ];
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LostWrite => "lost write",
            Self::WriteToOldPrimary => "write to an old primary",
            Self::WrongPrimary => "answered by a wrong primary",
            Self::LostHistoryServed => "lost history served",
            Self::DuplicateCreate => "duplicate create",
            Self::FailedWriteVisible => "failed write visible",
            Self::OwnWriteMissing => "own write missing",
            Self::NonMonotonicRead => "non-monotonic read",
            Self::StaleRead => "stale read",
            Self::NeedlesslyStale => "needlessly stale read",
            Self::NeedlesslyFailed => "needlessly failed read",
        })
    }
}
