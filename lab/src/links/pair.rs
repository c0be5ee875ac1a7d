//! Two places in no particular order, which a link joins.

/// Two different places; the same pair whichever is named first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pair {
    first: String,
    second: String,
}

impl Pair {
    /// The pair of two places; `None` for a place and itself, which no link joins.
    pub(crate) fn of(a: &str, b: &str) -> Option<Self> {
        let (first, second) = (a.min(b).to_owned(), a.max(b).to_owned());
        (first != second).then_some(Self { first, second })
    }

    pub(crate) fn places(&self) -> [&str; 2] {
        [&self.first, &self.second]
    }
}
