//! Why a connection was closed.

/// Why a connection of a pool was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The pool had no more use for it: it was idle, or old, another one needed its slot, its server
    /// was silent, or the pool was shut down.
    Released,
    /// The server or the network ended it.
    Lost,
    /// The kernel gave up on bytes that the server never acknowledged, or the server no longer knows
    /// the connection.
    Vanished,
    /// The runtime that drove it ended.
    RuntimeEnded,
    /// A plan or a type that it keeps is no longer that of the database, or its role has lost a right.
    Stale,
    /// It kept more than 1,000 prepared statements.
    Statements,
    /// It was lent to the program's own code, which may have changed its session.
    Lent,
    /// Another connection of its pool was stale, had vanished, or was ended for its idleness.
    Older,
}

impl CloseReason {
    /// Every reason, in this order.
    pub const ALL: &'static [Self] = &[
        Self::Released,
        Self::Lost,
        Self::Vanished,
        Self::RuntimeEnded,
        Self::Stale,
        Self::Statements,
        Self::Lent,
        Self::Older,
    ];

    /// The word for it, as metrics have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Lost => "lost",
            Self::Vanished => "vanished",
            Self::RuntimeEnded => "runtime_ended",
            Self::Stale => "stale",
            Self::Statements => "statements",
            Self::Lent => "lent",
            Self::Older => "older",
        }
    }
}
