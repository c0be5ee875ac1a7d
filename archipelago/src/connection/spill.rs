//! Bounds how many reads from elsewhere the primary serves at once, so that those that require one
//! position, as all of one visitor do, leave places to others.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::position::Position;

/// The places: as many as `max_spill` says.
#[derive(Clone)]
pub(crate) struct SpillPlaces(Arc<Mutex<Taken>>);

/// Counts a read from elsewhere against the primary's `max_spill`.
#[derive(Clone)]
pub(crate) struct SpillPermit {
    _place: Arc<Place>,
}

/// Visitors are told apart by the positions that their reads require: each write has its own. None is
/// for all those who require none.
type Visitor = Option<Position>;

struct Taken {
    most: usize,
    count: usize,
    /// How many found no place.
    refused: u64,
    by_visitor: HashMap<Visitor, usize>,
}

/// Given back when it is dropped.
struct Place {
    places: SpillPlaces,
    visitor: Visitor,
}

impl SpillPlaces {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Taken { most, count: 0, refused: 0, by_visitor: HashMap::new() })))
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.0.lock().count
    }

    /// How many reads found no place.
    pub(crate) fn refused(&self) -> u64 {
        self.0.lock().refused
    }

    /// A place for a read that requires this position. None while too many are under way.
    pub(crate) fn permit(&self, visitor: Visitor) -> Option<SpillPermit> {
        let has_place = self.0.lock().take(visitor);
        has_place.then(|| SpillPermit { _place: Arc::new(Place { places: self.clone(), visitor }) })
    }
}

impl Taken {
    /// The last quarter of the places is for visitors who have few reads there.
    fn take(&mut self, visitor: Visitor) -> bool {
        let own = self.by_visitor.get(&visitor).copied().unwrap_or_default();
        let (reserved, few) = (self.most / 4, (self.most / 20).max(1));
        let is_open_to_all = visitor.is_none() || own < few;
        let open = if is_open_to_all { self.most } else { self.most - reserved };
        let has_place = self.count < open;
        if has_place {
            self.count += 1;
            self.by_visitor.insert(visitor, own + 1);
        } else {
            self.refused += 1;
        }
        has_place
    }

    fn give_back(&mut self, visitor: Visitor) {
        self.count -= 1;
        if let Some(own) = self.by_visitor.get_mut(&visitor) {
            *own -= 1;
            if *own == 0 {
                self.by_visitor.remove(&visitor);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.0.lock().give_back(self.visitor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(lsn: u64) -> Position {
        Position { system: 7, timeline: 1, lsn }
    }

    #[test]
    fn one_visitor_leaves_places_to_others() {
        for (most, one, another) in [(100, 75, 5), (4, 3, 1), (1, 1, 0)] {
            let places = SpillPlaces::new(most);
            let take =
                |visitor| (0..300).filter_map(|_| places.permit(visitor)).collect::<Vec<_>>();
            let (first, second) = (take(Some(position(1))), take(Some(position(2))));
            assert_eq!((first.len(), second.len()), (one, another), "of {most}");
            let others: Vec<_> =
                (3..300).filter_map(|lsn| places.permit(Some(position(lsn)))).collect();
            assert_eq!(one + another + others.len(), most, "all are used");

            drop((first, second, others));
            assert_eq!(take(None).len(), most, "all are given back");
            assert!(places.0.lock().by_visitor.is_empty());
        }
    }
}
