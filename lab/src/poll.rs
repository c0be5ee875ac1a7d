//! How often the lab checks a condition that PostgreSQL does not announce.

use std::time::Duration;

/// The pause between two checks.
pub(crate) const POLL: Duration = Duration::from_millis(5);
