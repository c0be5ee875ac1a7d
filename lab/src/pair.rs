//! Two places in no particular order: what a line joins.

use std::fmt;

/// Two different places; the same pair whichever is named first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pair {
    first: String,
    second: String,
}

impl Pair {
    /// `None` for a place and itself, which no line joins.
    pub(crate) fn of(a: &str, b: &str) -> Option<Self> {
        let (first, second) = (a.min(b).to_owned(), a.max(b).to_owned());
        (first != second).then_some(Self { first, second })
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.second)
    }
}
