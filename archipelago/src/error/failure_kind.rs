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
pub(crate) enum NextRead {
    /// It is asked once more here, on a new connection. Where that fails the same way, at each other
    /// database.
    HereThenAnywhere,
    /// It is asked once more here, on a new connection. Where that fails the same way, at one other
    /// replica.
    HereThenOnce,
    /// It is asked once more here, on a new connection.
    Here,
    /// It is asked at each other database in turn.
    Anywhere,
    /// It is asked at one other replica, and never at the primary: it may be what broke the
    /// connection.
    Once,
    /// It fails.
    Final,
}

impl NextRead {
    /// Whether the read is asked once more at the same server.
    pub(crate) fn is_here(self) -> bool {
        matches!(self, Self::Here | Self::HereThenAnywhere | Self::HereThenOnce)
    }
}

impl FailureKind {
    /// What becomes of a read that failed so. `is_replica` tells where.
    pub(crate) fn next_read(self, is_replica: bool) -> NextRead {
        match self {
            Self::NotRun => NextRead::HereThenAnywhere,
            Self::Vanished => NextRead::HereThenOnce,
            Self::Stale => NextRead::Here,
            Self::Conflict if is_replica => NextRead::Anywhere,
            Self::Broken => NextRead::Once,
            Self::Conflict
            | Self::WriteInRead
            | Self::NotPrimary
            | Self::Passing
            | Self::Refused
            | Self::Unreadable
            | Self::NotFound => NextRead::Final,
        }
    }

    /// Whether a write that failed so is sent once more, on a new connection. Only what never ran
    /// is.
    pub(crate) fn is_write_repeated(self) -> bool {
        matches!(self, Self::NotRun | Self::Stale)
    }

    /// Whether the same statement may succeed a little later.
    pub(crate) fn is_passing(self) -> bool {
        match self {
            Self::NotRun
            | Self::Stale
            | Self::Conflict
            | Self::NotPrimary
            | Self::Passing
            | Self::Broken
            | Self::Vanished => true,
            Self::WriteInRead | Self::Refused | Self::Unreadable | Self::NotFound => false,
        }
    }

    /// Whether a write that failed so may have happened.
    pub(crate) fn is_uncertain(self) -> bool {
        matches!(self, Self::Broken | Self::Vanished | Self::Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::FailureKind::{
        Broken, Conflict, NotFound, NotPrimary, NotRun, Passing, Refused, Stale, Unreadable,
        Vanished, WriteInRead,
    };
    use super::NextRead::{Anywhere, Final, Here, HereThenAnywhere, HereThenOnce, Once};

    #[test]
    fn what_becomes_of_a_read_that_failed() {
        // The failure; what is next after it at a replica, and at the primary.
        for (kind, at_replica, at_primary) in [
            (NotRun, HereThenAnywhere, HereThenAnywhere),
            (Stale, Here, Here),
            (Conflict, Anywhere, Final),
            (WriteInRead, Final, Final),
            (NotPrimary, Final, Final),
            (Passing, Final, Final),
            (Broken, Once, Once),
            (Vanished, HereThenOnce, HereThenOnce),
            (Refused, Final, Final),
            (Unreadable, Final, Final),
            (NotFound, Final, Final),
        ] {
            assert_eq!(kind.next_read(true), at_replica, "{kind:?} at a replica");
            assert_eq!(kind.next_read(false), at_primary, "{kind:?} at the primary");
        }
    }

    #[test]
    fn what_is_known_of_a_write_that_failed() {
        // The failure; whether it passes, the write may have happened, and it is sent once more.
        for (kind, is_passing, is_uncertain, is_repeated) in [
            (NotRun, true, false, true),
            (Stale, true, false, true),
            (Conflict, true, false, false),
            (WriteInRead, false, false, false),
            (NotPrimary, true, false, false),
            (Passing, true, false, false),
            (Broken, true, true, false),
            (Vanished, true, true, false),
            (Refused, false, false, false),
            (Unreadable, false, true, false),
            (NotFound, false, false, false),
        ] {
            let known = (kind.is_passing(), kind.is_uncertain(), kind.is_write_repeated());
            assert_eq!(known, (is_passing, is_uncertain, is_repeated), "{kind:?}");
        }
    }
}
