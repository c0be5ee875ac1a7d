//! Log positions as answers report them. This crate parses them by its own code, so that a defect
//! in archipelago's parser cannot hide itself.

use std::fmt;

/// Length of the signature before the position in the header `archipelago-position`.
const SIGNATURE: usize = 44;

/// A position in PostgreSQL's log: nothing that an answer showed or wrote lies beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The timeline; each promotion begins one with a higher number.
    pub timeline: u32,
    /// Bytes since the beginning of the log.
    pub lsn: u64,
}

impl Position {
    /// Parses the header's value, a signature and `v1-<system>-<timeline>-<lsn>`. All servers of a
    /// run have one system. `None` for timeline 0, which answers carry while the timeline safeguard
    /// is off, and for the largest LSN, which stands for an unknown one: such positions do not tell
    /// what survived a promotion.
    #[must_use]
    pub fn from_header(value: &str) -> Option<Self> {
        let (_system, position) = value.get(SIGNATURE..)?.strip_prefix("v1-")?.split_once('-')?;
        let (timeline, lsn) = position.split_once('-')?;
        let timeline = timeline.parse().ok().filter(|timeline| *timeline > 0)?;
        let lsn = parse_lsn(lsn).filter(|lsn| *lsn != u64::MAX)?;
        Some(Self { timeline, lsn })
    }
}

/// Parses an LSN as PostgreSQL writes it: two hexadecimal halves with a slash between them.
pub(super) fn parse_lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let half = |text| u32::from_str_radix(text, 16).ok().map(u64::from);
    Some(half(high)? << 32 | half(low)?)
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
    fn the_header_is_a_signature_and_a_position() {
        let header = format!("{}v1-7123456789-2-1/3000148", "x".repeat(SIGNATURE));
        let position = Position::from_header(&header).unwrap();
        assert_eq!(position, Position { timeline: 2, lsn: 0x1_0300_0148 });
        assert_eq!(position.to_string(), "2-1/3000148");
        assert!(Position::from_header("short").is_none());
        assert!(Position::from_header(&header.replace("-2-", "-0-")).is_none());
        assert!(Position::from_header(&header.replace('/', "-")).is_none());
        assert!(Position::from_header(&header.replace("v1-", "v2-")).is_none());
        assert!(Position::from_header(&header.replace("1/3000148", "FFFFFFFF/FFFFFFFF")).is_none());
    }
}
