//! The mechanisms that keep the promises to visitors, as switches: tests prove that each one is
//! needed.

/// A mechanism that keeps a promise to visitors. A test switches one off with
/// `Settings::without`, and must then see the promise broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Safeguard {
    /// Visitors carry the position of what they wrote and saw.
    Cookie,
    /// A position on a newer timeline than the server's counts as not reached.
    Timeline,
    /// The position of a write is taken after its commit.
    AfterCommit,
    /// A replica further behind than `max_lag` serves no read.
    MaxLag,
    /// A replica takes no writes, and of the servers that take writes only the leader serves.
    Role,
    /// A primary whose promotion is not proven does not win from one that is.
    Evidence,
    /// What a replica has shown ends behind the record that it may be replaying.
    Bound,
    /// A member that an election finds unfit serves no reads.
    Fitness,
    /// The age of what a replica shows is not counted on its own clock alone.
    Clock,
}

/// The safeguards that are switched off, one bit each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Safeguards(u16);

impl Safeguards {
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn without(self, safeguard: Safeguard) -> Self {
        Self(self.0 | safeguard.bit())
    }

    pub(crate) fn has(self, safeguard: Safeguard) -> bool {
        self.0 & safeguard.bit() == 0
    }
}

impl Safeguard {
    fn bit(self) -> u16 {
        1 << self as u8
    }
}
