//! What keeps the promises to visitors, to be switched off one by one by those who test that they do.

/// What keeps a promise to visitors, each for [`Settings::without`](crate::Settings::without).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protection {
    /// That visitors carry the position of what they wrote and saw.
    Cookie,
    /// That positions are compared on one timeline only.
    Timeline,
    /// That a write's position is taken behind its commit.
    AfterCommit,
    /// That a replica further behind than `max_lag` serves no read.
    MaxLag,
    /// That a replica takes no writes, and a primary that was replaced nothing.
    Role,
}

/// Those that are on: a bit for each that is not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Protections(u8);

impl Protections {
    pub(crate) fn without(self, protection: Protection) -> Self {
        Self(self.0 | protection.bit())
    }

    pub(crate) fn include(self, protection: Protection) -> bool {
        self.0 & protection.bit() == 0
    }
}

impl Protection {
    fn bit(self) -> u8 {
        1 << self as u8
    }
}
