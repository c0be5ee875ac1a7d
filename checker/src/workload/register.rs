//! The data that clients write: one user of the app is one register.

use std::fmt;

/// A register with one writer, stored as a user. Its owner writes ascending versions, so the
/// higher of two versions is the newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Register {
    /// The client that creates it, and the only one that writes it.
    pub owner: u32,
    /// Counts the owner's registers, from 1.
    pub number: u32,
}

/// The owner of the registers that the operator writes; clients count from 1.
pub const OPERATOR: u32 = 0;

/// What a register holds. A create writes version 1; version 0 means that no row exists.
pub type Version = u32;

impl Register {
    /// The name of the user that holds this version, such as `c7 r3 v132`.
    #[must_use]
    pub fn user_name(self, version: Version) -> String {
        format!("{self} v{version}")
    }

    /// Parses [`user_name`](Self::user_name); `None` for a user that no client wrote.
    #[must_use]
    pub fn parse(user_name: &str) -> Option<(Self, Version)> {
        let mut words = user_name.split(' ');
        let mut number = |letter: char| words.next()?.strip_prefix(letter)?.parse().ok();
        Some((Self { owner: number('c')?, number: number('r')? }, number('v')?))
    }
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{} r{}", self.owner, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_holds_register_and_version() {
        let register = Register { owner: 7, number: 3 };
        assert_eq!(register.user_name(132), "c7 r3 v132");
        assert_eq!(Register::parse("c7 r3 v132"), Some((register, 132)));
        assert_eq!(Register::parse("Ada Lovelace"), None);
    }
}
