//! How fresh a read must be.

use std::time::Duration;

use crate::state::State;
use crate::{Position, Role};

/// How fresh the answer to a read must be. Without a word a read is at most [`MAX_LAG`](crate::RepoSet::MAX_LAG) behind the primary,
/// and an Actix [`Reader`](crate::actix::Reader)'s shows at least what its visitor has written or seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Whatever the nearest server shows, also what is older than the visitor's own writes.
    Any,
    /// Everything that the primary had committed so long ago, in place of `max_lag`. Measured by the clocks of primary and replica, which should agree to
    /// some milliseconds (NTP), or by their positions in the log where this process has both.
    AtMost(Duration),
    /// Everything up to a position.
    AtLeast(Position),
    /// What the primary shows.
    Primary,
}

/// What a read asks of a server's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) at_least: Option<Position>,
    pub(crate) at_most: Option<Duration>,
    pub(crate) primary: bool,
    /// Whether a primary that was replaced will do.
    pub(crate) or_past: bool,
}

/// Why a server may not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unmet {
    /// It has not replayed so far yet, and will.
    Behind,
    /// It is further behind than allowed, or nobody can tell how far.
    Lags,
    /// It is not what was asked for: no primary, or one that was replaced, or another database.
    NotPrimary,
}

impl Need {
    pub(crate) const ANY: Self =
        Self { at_least: None, at_most: None, primary: false, or_past: false };

    pub(crate) fn at_most(limit: Duration) -> Self {
        Self { at_most: Some(limit), ..Self::ANY }
    }

    pub(crate) fn and(self, freshness: Freshness) -> Self {
        match freshness {
            Freshness::Any => Self { or_past: self.or_past, ..Self::ANY },
            Freshness::AtMost(limit) => Self { at_most: Some(limit), ..self },
            Freshness::AtLeast(position) => self.and_at_least(Some(position)),
            Freshness::Primary => Self { primary: true, ..self },
        }
    }

    pub(crate) fn and_at_least(self, position: Option<Position>) -> Self {
        let both = self.at_least.zip(position).map(|(own, other)| own.or_later(other));
        Self { at_least: both.or(self.at_least).or(position), ..self }
    }

    /// Whether a server of the database `system` may answer, whose state was `state`, or earlier than it is. `newest` is the newest
    /// timeline that anybody has shown.
    ///
    /// A place on an older timeline than the server's needs no knowledge of where the newer one began: whoever has replayed that far
    /// on the newer one has everything up to there that outlived the promotion.
    pub(crate) fn met_by(self, state: &State, system: u64, newest: u32) -> Result<(), Unmet> {
        let is_primary = state.role == Role::Primary;
        if is_primary && state.timeline < newest && !self.or_past || self.primary && !is_primary {
            return Err(Unmet::NotPrimary);
        }
        // A position of another database means nothing here.
        if let Some(wanted) = self.at_least.filter(|wanted| wanted.system == system)
            && (wanted.timeline > state.timeline || wanted.lsn > state.lsn && !is_primary)
        {
            return Err(Unmet::Behind);
        }
        // What is behind a primary that was not replaced?
        match self.at_most.filter(|_| !is_primary) {
            Some(limit) => {
                if state.as_of.is_some_and(|as_of| as_of.elapsed() <= limit) {
                    Ok(())
                } else {
                    Err(Unmet::Lags)
                }
            }
            None => Ok(()),
        }
    }
}
