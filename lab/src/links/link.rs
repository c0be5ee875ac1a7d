//! One link: its state, and when bytes that are sent over it arrive.

use std::time::{Duration, Instant};

/// A link between two places as it was when [`Links::among`](crate::Links::among) was called.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// One of the places.
    pub a: String,
    /// The other.
    pub b: String,
    /// How long a message and its answer take while the link is not cut.
    pub round_trip: Duration,
    /// Whether nothing passes.
    pub cut: bool,
    /// Whether its round-trip time was changed.
    pub slowed: bool,
}

impl Link {
    pub(super) fn new(a: &str, b: &str, state: LinkState) -> Self {
        let LinkState { slowed, cut, .. } = state;
        Self {
            a: a.to_owned(),
            b: b.to_owned(),
            round_trip: state.round_trip(),
            cut,
            slowed: slowed.is_some(),
        }
    }
}

/// The state of a link.
#[derive(Debug, Clone, Copy)]
pub(super) struct LinkState {
    distance: Duration,
    slowed: Option<Duration>,
    pub(super) cut: bool,
    /// When the last cut was healed: what was delayed by then leaves again at this moment.
    healed: Option<Instant>,
}

impl LinkState {
    pub(super) fn new(distance: Duration) -> Self {
        Self { distance, slowed: None, cut: false, healed: None }
    }

    pub(super) fn round_trip(&self) -> Duration {
        self.slowed.unwrap_or(self.distance)
    }

    /// When bytes that were sent at this moment arrive; `None` while the link is cut.
    pub(super) fn arrival(&self, sent: Instant) -> Option<Instant> {
        if self.cut {
            return None;
        }
        // A time that overflows the clock is never reached either.
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

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Duration = Duration::from_millis(100);

    /// A state, then how long bytes travel that were sent a second ago.
    #[test]
    fn when_bytes_arrive() {
        type Change = fn(&mut LinkState);
        let sent = Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now);
        let cases: [(&str, &[Change], Option<Duration>); 5] = [
            ("untouched", &[], Some(TRIP / 2)),
            ("slowed", &[|link| link.slow(4 * TRIP)], Some(2 * TRIP)),
            ("slowed without end", &[|link| link.slow(Duration::MAX)], None),
            ("slowed and healed", &[|link| link.slow(4 * TRIP), LinkState::heal], Some(TRIP / 2)),
            ("cut", &[LinkState::cut], None),
        ];
        for (name, changes, travels) in cases {
            let mut link = LinkState::new(TRIP);
            for change in changes {
                change(&mut link);
            }
            assert_eq!(link.arrival(sent), travels.map(|travels| sent + travels), "{name}");
        }
    }

    #[test]
    fn bytes_of_a_healed_link_leave_again_when_it_is_healed() {
        let before = Instant::now();
        let mut link = LinkState::new(TRIP);
        link.cut();
        link.heal();
        assert!(link.arrival(before) >= Some(before + TRIP / 2));
        let later = Instant::now() + TRIP;
        assert_eq!(link.arrival(later), Some(later + TRIP / 2), "sent after the heal");
    }
}
