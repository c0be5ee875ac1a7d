//! One line: what it is like at a moment, and when what is sent along it arrives.

use std::time::{Duration, Instant};

/// A line between two places as it was when it was looked at; from [`Links::among`](crate::Links::among).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// One of the places.
    pub a: String,
    /// The other.
    pub b: String,
    /// What a message and its answer take, when it is not cut.
    pub round_trip: Duration,
    /// Whether nothing passes.
    pub cut: bool,
    /// Whether somebody changed its round-trip time.
    pub slowed: bool,
}

impl Link {
    pub(super) fn new(a: &str, b: &str, state: State) -> Self {
        let State { slowed, cut, .. } = state;
        Self {
            a: a.to_owned(),
            b: b.to_owned(),
            round_trip: state.round_trip(),
            cut,
            slowed: slowed.is_some(),
        }
    }
}

/// What a line is like.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    distance: Duration,
    slowed: Option<Duration>,
    pub(super) cut: bool,
    /// When it was cut no more: what was lost by then is sent again.
    healed: Option<Instant>,
}

impl State {
    pub(super) fn new(distance: Duration) -> Self {
        Self { distance, slowed: None, cut: false, healed: None }
    }

    pub(super) fn round_trip(&self) -> Duration {
        self.slowed.unwrap_or(self.distance)
    }

    /// When it arrives what was sent at this moment, or is sent again; `None` as long as nothing does.
    pub(super) fn arrival(&self, sent: Instant) -> Option<Instant> {
        if self.cut {
            return None;
        }
        // A sum that no clock can show is never reached, either.
        self.healed.map_or(sent, |healed| sent.max(healed)).checked_add(self.round_trip() / 2)
    }

    pub(super) fn cut(&mut self) {
        self.cut = true;
    }

    pub(super) fn heal(&mut self) {
        if self.cut {
            self.healed = Some(Instant::now());
        }
        self.cut = false;
        self.slowed = None;
    }

    pub(super) fn slow(&mut self, round_trip: Duration) {
        self.slowed = Some(round_trip);
    }
}
