//! Nearness: the order in which an instance tries the replicas, by its place.

use crate::places::Place;
use crate::world::round_trip;

/// The replicas in the order in which reads from `from` try them: nearest first, by [`round_trip`].
///
/// Pass the replicas only: the router adds the primary, which serves reads in its own region and
/// as the last resort elsewhere. A replica in `from` itself comes first. Equal times are ordered by
/// code, so that the result does not depend on the order of regions.toml.
#[must_use]
pub fn nearest_first<'a>(
    from: &Place,
    replicas: impl IntoIterator<Item = &'a Place>,
) -> Vec<&'a Place> {
    let mut replicas: Vec<&Place> = replicas.into_iter().collect();
    replicas.sort_by_cached_key(|replica| {
        (replica.code != from.code, round_trip(from, replica), &replica.code)
    });
    replicas
}
