//! The keys that sign what a visitor carries.

use std::fmt;

use cookie::Key;

/// The keys of an app's signatures: one signs, and all verify.
///
/// To change the key without losing what visitors carry, first let every instance verify the new
/// one, then let it sign, and drop the old one after the cookies' lifetime.
#[derive(Clone)]
pub struct Keys {
    pub(super) signing: Key,
    pub(super) verifying: Vec<Key>,
}

impl Keys {
    /// One key, which signs and verifies.
    #[must_use]
    pub fn new(signing: Key) -> Self {
        Self { signing, verifying: Vec::new() }
    }

    /// Adds keys that verify: retired ones, and those that are to sign next.
    #[must_use]
    pub fn and_verifying(mut self, keys: impl IntoIterator<Item = Key>) -> Self {
        self.verifying.extend(keys);
        self
    }
}

impl From<Key> for Keys {
    fn from(key: Key) -> Self {
        Self::new(key)
    }
}

/// Prints no key.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}
