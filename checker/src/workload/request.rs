//! The requests that clients send.

use super::{Register, Version};

/// What a client asks the app for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Creates the register's user. The client repeats it with the same idempotency key until the
    /// outcome is known.
    Create(Register),
    /// Writes this version to a register that the client owns.
    Update(Register, Version),
    /// Reads one user's page. If no fresh server is available, the app serves an old page and
    /// marks it as stale.
    Read(Register),
    /// Reads one user's edit form. The app never serves a form older than `max_lag`.
    EditForm(Register),
    /// Reads a page of the user list; like [`Read`](Self::Read), it may be marked as stale.
    List,
    /// An operator's own commit on the primary, past the app, which writes this version.
    Commit(Register, Version, CommitKind),
}

/// What is special about an operator's commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitKind {
    /// It drops a table with many files, so that a replica shows it before its replayed position
    /// says so.
    RemovesFiles,
    /// It does not wait until it is flushed, so that others see it earlier. A crash may undo it.
    Asynchronous,
}

impl Request {
    /// Whether this request changes data.
    #[must_use]
    pub fn is_write(self) -> bool {
        self.written().is_some()
    }

    /// Whether the app prefers an old answer, marked as stale, to none.
    #[must_use]
    pub fn allows_stale(self) -> bool {
        matches!(self, Self::Read(_) | Self::List)
    }

    /// Whether a crash of the primary may undo it although it was acknowledged.
    #[must_use]
    pub fn is_asynchronous(self) -> bool {
        matches!(self, Self::Commit(.., CommitKind::Asynchronous))
    }

    /// The register and the version that a write leaves behind.
    #[must_use]
    pub fn written(self) -> Option<(Register, Version)> {
        match self {
            Self::Create(register) => Some((register, 1)),
            Self::Update(register, version) | Self::Commit(register, version, _) => {
                Some((register, version))
            }
            Self::Read(_) | Self::EditForm(_) | Self::List => None,
        }
    }
}
