//! The graph of hubs and cables, and the shortest path through it.

use super::cables::CABLES;
use super::great_circle::distance_km;
use super::hubs::HUBS;
use crate::places::{Place, built_in_places};
use std::sync::LazyLock;

/// The network of the whole world. The first use computes every shortest path: some milliseconds.
pub(super) static WORLD: LazyLock<Network> = LazyLock::new(Network::new);

pub(super) struct Network {
    hubs: Vec<&'static Place>,
    /// The length of the shortest path from each hub to each.
    km: Vec<Vec<f64>>,
}

impl Network {
    /// The length of the shortest path from `a` to `b`: off the cables all the way, or off the
    /// cables to a hub, along cables, and off the cables from a hub.
    pub(super) fn shortest_km(&self, a: &Place, b: &Place) -> f64 {
        let to_hubs =
            |place| self.hubs.iter().map(|hub| off_cable_km(place, hub)).collect::<Vec<_>>();
        let (from_a, to_b) = (to_hubs(a), to_hubs(b));
        let mut shortest = off_cable_km(a, b);
        for (from_a, paths) in from_a.iter().zip(&self.km) {
            if *from_a >= shortest {
                continue;
            }
            for (to_b, path) in to_b.iter().zip(paths) {
                shortest = shortest.min(from_a + to_b + path);
            }
        }
        shortest
    }

    fn new() -> Self {
        let hubs: Vec<&Place> = built_in_places().iter().chain(HUBS).collect();
        let mut km: Vec<Vec<f64>> = hubs
            .iter()
            .map(|from| hubs.iter().map(|to| off_cable_km(from, to)).collect())
            .collect();
        for (_, codes) in CABLES {
            let landings: Vec<usize> = codes
                .split(' ')
                .filter_map(|code| hubs.iter().position(|hub| hub.code == code))
                .collect();
            for leg in landings.windows(2) {
                let (from, to) = (leg[0], leg[1]);
                km[from][to] = distance_km(hubs[from], hubs[to]);
                km[to][from] = km[from][to];
            }
        }
        find_shortest_paths(&mut km);
        Self { hubs, km }
    }
}

/// The weight of off-cable distance, which preserves the triangle inequality and keeps routes out
/// of Siberia.
///
/// A longest length, or a number of hubs to join, would break that inequality and make lines jump
/// when a place moves a little. The weight must exceed 2.24, the length in great circles of the
/// cables from Tokyo to Stockholm: among distant built-in places, the most.
const OFF_CABLE_WEIGHT: f64 = 2.5;

fn off_cable_km(a: &Place, b: &Place) -> f64 {
    OFF_CABLE_WEIGHT * distance_km(a, b)
}

/// Replaces each length by that of the shortest path (R. W. Floyd, "Algorithm 97: Shortest Path",
/// CACM 5, 1962).
fn find_shortest_paths(km: &mut [Vec<f64>]) {
    for via in 0..km.len() {
        let onward = km[via].clone();
        for paths in &mut *km {
            let to_via = paths[via];
            for (path, onward) in paths.iter_mut().zip(&onward) {
                *path = path.min(to_via + onward);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn cables_land_at_hubs_and_every_hub_has_a_cable() {
        let hubs: BTreeSet<&str> = WORLD.hubs.iter().map(|hub| &*hub.code).collect();
        assert_eq!(hubs.len(), WORLD.hubs.len(), "a code comes twice");
        let landings: BTreeSet<&str> =
            CABLES.iter().flat_map(|(_, codes)| codes.split(' ')).collect();
        assert_eq!(hubs, landings);
    }
}
