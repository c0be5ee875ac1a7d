//! What visitors write: a user whose name tells who wrote it, and when.

use std::fmt;

use serde::Serialize;

/// A user that a visitor made. Only that visitor writes it, one version after the other, so that versions tell what is newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Row {
    /// The visitor.
    pub owner: u32,
    /// Which of the visitor's.
    pub number: u32,
}

/// 1 is what the create wrote, and 0 is no row at all.
pub type Version = u32;

impl Row {
    /// The user's name, which tells everything: `v7 r3 s132`.
    #[must_use]
    pub fn name(self, version: Version) -> String {
        format!("{self} s{version}")
    }

    /// Reads a name back; none of somebody else's user.
    #[must_use]
    pub fn parse(name: &str) -> Option<(Self, Version)> {
        let mut words = name.split(' ');
        let mut number = |letter: char| words.next()?.strip_prefix(letter)?.parse().ok();
        Some((Self { owner: number('v')?, number: number('r')? }, number('s')?))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{} r{}", self.owner, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_everything() {
        let row = Row { owner: 7, number: 3 };
        assert_eq!(row.name(132), "v7 r3 s132");
        assert_eq!(Row::parse("v7 r3 s132"), Some((row, 132)));
        assert_eq!(Row::parse("Ada Lovelace"), None);
    }
}
