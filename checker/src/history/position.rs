//! Log positions as answers report them.

use std::fmt;

/// Length of the signature before the position in the header `archipelago-position`.
const SIGNATURE: usize = 44;

/// A position in PostgreSQL's log: nothing that an answer showed or wrote lies beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The system identifier of the database; 0 if it is not known.
    pub system: u64,
    /// The timeline; each promotion begins one with a higher number.
    pub timeline: u32,
    /// Bytes since the beginning of the log.
    pub lsn: u64,
}

impl Position {
    /// Parses the header's value, a signature and a position. `None` for timeline 0, which answers
    /// carry while the timeline safeguard is off, and for an unknown position: such a position does
    /// not tell what survived a promotion.
    #[must_use]
    pub fn from_header(value: &str) -> Option<Self> {
        let position: archipelago::Position = value.get(SIGNATURE..)?.parse().ok()?;
        let (system, timeline, lsn) = (position.system(), position.timeline(), position.lsn());
        let tells = timeline > 0 && !position.is_unknown();
        tells.then_some(Self { system, timeline, lsn })
    }
}

/// Parses an LSN as PostgreSQL writes it: two hexadecimal halves with a slash between them.
pub(super) fn parse_lsn(text: &str) -> Option<u64> {
    text.parse().ok().map(|lsn: archipelago_lab::PgLsn| lsn.into())
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:X}/{:X}", self.timeline, self.lsn >> 32, self.lsn & u64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_signature_and_a_position() {
        let header = format!("{}v1-7123456789-2-1/3000148", "x".repeat(SIGNATURE));
        let position = Position::from_header(&header).unwrap();
        assert_eq!((position.system, position.timeline), (7_123_456_789, 2));
        assert_eq!(position.to_string(), "2-1/3000148");
        for position in ["", "short", "no position", "v1-7-0-1/2", "v2-7-1-1/2"] {
            let header = format!("{}{position}", "x".repeat(SIGNATURE));
            assert!(Position::from_header(&header).is_none(), "{position}");
        }
        assert!(Position::from_header("short").is_none());
    }
}
