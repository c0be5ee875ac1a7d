//! How near two places are, and so in which order a place asks the replicas.

use crate::{Place, round_trip};

/// The replicas in the order in which reads from `from` should try them: nearest first, by [`round_trip`].
///
/// The primary is no part of it. It serves reads in its own region and when nothing else is left, so the router adds
/// it last. A place with a replica of its own begins with itself. Equal times go by code, so that the order does
/// not depend on the order of regions.toml.
#[must_use]
pub fn order<'a>(from: &Place, replicas: impl IntoIterator<Item = &'a Place>) -> Vec<&'a Place> {
    let mut replicas: Vec<&Place> = replicas.into_iter().collect();
    replicas.sort_by_cached_key(|replica| {
        (replica.code != from.code, round_trip(from, replica), &replica.code)
    });
    replicas
}
