//! The SQLSTATEs of a connection outside any pool.

use std::sync::Arc;

use super::SessionRecord;

/// The errors that a server sends on one connection of
/// [`connect_with_errors`](crate::connect_with_errors): with the SQLSTATE, for which Diesel's errors
/// have no room.
#[derive(Clone)]
pub struct ServerErrors(Arc<SessionRecord>);

impl ServerErrors {
    pub(crate) fn new(session: Arc<SessionRecord>) -> Self {
        Self(session)
    }

    /// The SQLSTATE of the last error since this was last asked, five characters.
    #[must_use]
    pub fn take_code(&self) -> Option<String> {
        self.0.take_errors().first().map(|error| error.code.as_str().to_owned())
    }
}

impl std::fmt::Debug for ServerErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerErrors").finish_non_exhaustive()
    }
}
