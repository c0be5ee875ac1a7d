//! The graph of hubs and cables, and the shortest line through it.

use super::cables::CABLES;
use super::distance_km;
use super::hubs::HUBS;
use crate::{Place, built_in_places};
use std::sync::LazyLock;

/// The network of the whole world. The first use computes all its lines: some milliseconds.
pub(super) static WORLD: LazyLock<Network> = LazyLock::new(Network::new);

pub(super) struct Network {
    hubs: Vec<&'static Place>,
    /// The length of the shortest line from each hub to each.
    km: Vec<Vec<f64>>,
}

impl Network {
    /// The length of the shortest line from `a` to `b`: off the map all the way, or to a hub, along cables, and from a hub.
    pub(super) fn km(&self, a: &Place, b: &Place) -> f64 {
        let to_hubs =
            |place| self.hubs.iter().map(|hub| off_the_map_km(place, hub)).collect::<Vec<_>>();
        let (from_a, to_b) = (to_hubs(a), to_hubs(b));
        let mut shortest = off_the_map_km(a, b);
        for (from_a, lines) in from_a.iter().zip(&self.km) {
            if *from_a >= shortest {
                continue;
            }
            for (to_b, line) in to_b.iter().zip(lines) {
                shortest = shortest.min(from_a + to_b + line);
            }
        }
        shortest
    }

    fn new() -> Self {
        let hubs: Vec<&Place> = built_in_places().iter().chain(HUBS).collect();
        let mut km: Vec<Vec<f64>> = hubs
            .iter()
            .map(|from| hubs.iter().map(|to| off_the_map_km(from, to)).collect())
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
        shorten(&mut km);
        Self { hubs, km }
    }
}

/// What a kilometre counts where no cable is known.
///
/// A factor, and not a longest length or a number of hubs to join, so that a place that moves a little has lines that change a
/// little, and the triangle inequality holds for any three places. It must be large enough that no such line is a short cut
/// through Siberia: from Tokyo to Stockholm the cables are 2.24 great circles long, the most of all far built-in places.
const OFF_THE_MAP: f64 = 2.5;

fn off_the_map_km(a: &Place, b: &Place) -> f64 {
    OFF_THE_MAP * distance_km(a, b)
}

/// Makes each length that of the shortest path (R. W. Floyd, "Algorithm 97: Shortest Path", CACM 5, 1962).
fn shorten(km: &mut [Vec<f64>]) {
    for by in 0..km.len() {
        let onward = km[by].clone();
        for lines in &mut *km {
            let to_there = lines[by];
            for (line, onward) in lines.iter_mut().zip(&onward) {
                *line = line.min(to_there + onward);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_cable_lands_at_hubs_and_every_hub_has_a_cable() {
        let hubs: BTreeSet<&str> = WORLD.hubs.iter().map(|hub| &*hub.code).collect();
        assert_eq!(hubs.len(), WORLD.hubs.len(), "a code comes twice");
        let landings: BTreeSet<&str> =
            CABLES.iter().flat_map(|(_, codes)| codes.split(' ')).collect();
        assert_eq!(hubs, landings);
    }
}
