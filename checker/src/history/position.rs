//! Positions in the log as answers tell them. Read by this crate's own code, as what it checks is archipelago's.

use std::fmt;

use serde::{Serialize, Serializer};

/// The characters of the signature in front of a position in the header `archipelago-position`.
const SIGNATURE: usize = 44;

/// How far the log was that an answer came from: an upper bound of what it showed, or of what it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Each promotion begins a new one, with a higher number.
    pub timeline: u32,
    /// Bytes since the beginning of the log.
    pub lsn: u64,
}

impl Position {
    /// What the header says behind its signature: `<system>-<timeline>-<lsn>`. A world has one system. None on timeline 0, which
    /// stands for any where timelines are not told apart: it says nothing of what survived.
    #[must_use]
    pub fn of_header(value: &str) -> Option<Self> {
        let (_, rest) = value.get(SIGNATURE..)?.split_once('-')?;
        let (timeline, lsn) = rest.split_once('-')?;
        Some(Self {
            timeline: timeline.parse().ok().filter(|timeline| *timeline > 0)?,
            lsn: lsn_of(lsn)?,
        })
    }
}

/// PostgreSQL's way to write one: two hexadecimal halves.
pub(crate) fn lsn_of(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let half = |text| u32::from_str_radix(text, 16).ok().map(u64::from);
    Some(half(high)? << 32 | half(low)?)
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:X}/{:X}", self.timeline, self.lsn >> 32, self.lsn & u64::from(u32::MAX))
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_a_signature_and_a_position() {
        let header = format!("{}7123456789-2-1/3000148", "x".repeat(SIGNATURE));
        let position = Position::of_header(&header).unwrap();
        assert_eq!(position, Position { timeline: 2, lsn: 0x1_0300_0148 });
        assert_eq!(position.to_string(), "2-1/3000148");
        assert!(Position::of_header("short").is_none());
        assert!(Position::of_header(&header.replace("-2-", "-0-")).is_none());
        assert!(Position::of_header(&header.replace('/', "-")).is_none());
    }
}
