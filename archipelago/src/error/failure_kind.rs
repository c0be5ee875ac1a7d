//! The ways in which a statement can fail, and what follows from each: pure decisions.

/// How a statement failed, as far as it matters for what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The server never ran it: the session had ended, or takes no statements.
    NotRun,
    /// The session keeps a plan or a type that the database no longer has.
    Stale,
    /// It stood in the way of others: a conflict with recovery, a deadlock, a serialization failure.
    Conflict,
    /// A read writes.
    WriteInRead,
    /// A write came to a server that takes no writes.
    NotPrimary,
    /// The server stopped it, or had no room for it, and undid it.
    Passing,
    /// The connection broke after the statement was sent.
    Broken,
    /// The bytes that were sent were never acknowledged.
    Vanished,
    /// The server undid it, and would do so again.
    Refused,
    /// Its answer cannot be read, or its parameters could not be sent.
    Unreadable,
    /// It ran, and found no row.
    NotFound,
}

/// What becomes of a read that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NextRead {
    /// How often it is asked again at the same server, each time on a new connection.
    pub(crate) repeats: usize,
    /// Where it is asked after that.
    pub(crate) elsewhere: Elsewhere,
}

/// At which other databases a read is asked that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// At each of them in turn.
    Any,
    /// At one replica, and never at the primary: the read may be what broke the connection.
    OneReplica,
    /// At none.
    No,
}

impl NextRead {
    /// It fails.
    pub(crate) const FINAL: Self = Self { repeats: 0, elsewhere: Elsewhere::No };
    /// It is asked at each other database in turn.
    pub(crate) const ANYWHERE: Self = Self { repeats: 0, elsewhere: Elsewhere::Any };
    /// It is asked at one other replica.
    pub(crate) const ONCE: Self = Self { repeats: 0, elsewhere: Elsewhere::OneReplica };
}

impl FailureKind {
    /// What follows at a replica: how often the read is asked again here, and where after that;
    /// whether the same statement may succeed a little later; whether a write may have happened.
    const fn effects(self) -> (usize, Elsewhere, bool, bool) {
        match self {
            Self::NotRun => (1, Elsewhere::Any, true, false),
            // Each may meet another connection that is stale.
            Self::Stale => (3, Elsewhere::No, true, false),
            Self::Conflict => (0, Elsewhere::Any, true, false),
            Self::NotPrimary | Self::Passing => (0, Elsewhere::No, true, false),
            Self::Broken => (0, Elsewhere::OneReplica, true, true),
            Self::Vanished => (1, Elsewhere::OneReplica, true, true),
            Self::WriteInRead | Self::Refused | Self::NotFound => (0, Elsewhere::No, false, false),
            Self::Unreadable => (0, Elsewhere::No, false, true),
        }
    }

    /// What becomes of a read that failed so. `is_replica` tells where.
    pub(crate) fn next_read(self, is_replica: bool) -> NextRead {
        if self == Self::Conflict && !is_replica {
            return NextRead::FINAL;
        }
        let (repeats, elsewhere, ..) = self.effects();
        NextRead { repeats, elsewhere }
    }

    /// How often a write that failed so is sent again, on a new connection. Only what never ran is.
    pub(crate) fn write_repeats(self) -> usize {
        if self.is_uncertain() { 0 } else { self.effects().0 }
    }

    /// Whether the same statement may succeed a little later.
    pub(crate) fn is_passing(self) -> bool {
        self.effects().2
    }

    /// Whether a write that failed so may have happened.
    pub(crate) fn is_uncertain(self) -> bool {
        self.effects().3
    }

    /// The same failure where the server undoes what it did: in a transaction without a COMMIT.
    pub(crate) fn undone(self) -> Self {
        match self {
            Self::Broken | Self::Vanished => Self::Passing,
            Self::Unreadable => Self::Refused,
            kind => kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Elsewhere::{Any, No, OneReplica};
    use super::FailureKind::{
        Broken, Conflict, NotFound, NotPrimary, NotRun, Passing, Refused, Stale, Unreadable,
        Vanished, WriteInRead,
    };
    use super::NextRead;

    #[test]
    fn what_becomes_of_a_read_that_failed() {
        // The failure; how often the read is asked again here, and where then; where it is asked
        // after it failed at the primary.
        for (kind, repeats, at_replica, at_primary) in [
            (NotRun, 1, Any, Any),
            (Stale, 3, No, No),
            (Conflict, 0, Any, No),
            (WriteInRead, 0, No, No),
            (NotPrimary, 0, No, No),
            (Passing, 0, No, No),
            (Broken, 0, OneReplica, OneReplica),
            (Vanished, 1, OneReplica, OneReplica),
            (Refused, 0, No, No),
            (Unreadable, 0, No, No),
            (NotFound, 0, No, No),
        ] {
            for (is_replica, elsewhere) in [(true, at_replica), (false, at_primary)] {
                assert_eq!(kind.next_read(is_replica), NextRead { repeats, elsewhere }, "{kind:?}");
            }
        }
    }

    #[test]
    fn what_is_known_of_a_write_that_failed() {
        // The failure; whether it passes, whether the write may have happened, and how often it is
        // sent again; what it is in a transaction without a COMMIT.
        for (kind, is_passing, is_uncertain, repeats, undone) in [
            (NotRun, true, false, 1, NotRun),
            (Stale, true, false, 3, Stale),
            (Conflict, true, false, 0, Conflict),
            (WriteInRead, false, false, 0, WriteInRead),
            (NotPrimary, true, false, 0, NotPrimary),
            (Passing, true, false, 0, Passing),
            (Broken, true, true, 0, Passing),
            (Vanished, true, true, 0, Passing),
            (Refused, false, false, 0, Refused),
            (Unreadable, false, true, 0, Refused),
            (NotFound, false, false, 0, NotFound),
        ] {
            let known = (kind.is_passing(), kind.is_uncertain(), kind.write_repeats());
            assert_eq!(known, (is_passing, is_uncertain, repeats), "{kind:?}");
            assert_eq!(kind.undone(), undone, "{kind:?}");
        }
    }
}
