//! What `archipelago regions` prints: the regions of this build, the nearest replicas, and the
//! limits.

use std::collections::BTreeMap;
use std::fmt::Write;

use archipelago::RegionSet;

use crate::plain_table::{plain_table, trimmed};
use crate::repos::Repos;

/// A line for each region. Without `settings`, its host and port are not known, and are dashes.
pub(super) fn regions(settings: Option<&archipelago::Settings>) -> String {
    let mut table = plain_table(["REGION", "REPO", "ROLE", "PLACE", "HOST", "PORT"], 6);
    for info in Repos::REGIONS {
        let url = settings.and_then(|settings| settings.url(info.code).ok());
        let (host, port) = url
            .map_or(("-".to_owned(), "-".to_owned()), |url| (url.host(), url.port().to_string()));
        table.add_row([
            info.code,
            info.repo,
            info.role.as_str(),
            info.place.unwrap_or("-"),
            &host,
            &port,
        ]);
    }
    trimmed(&table)
}

/// The replicas, the nearest first, as seen from every known place. Places with the same order
/// share a line.
pub(super) fn nearest_replicas() -> String {
    let mut places_by_order: BTreeMap<Vec<&str>, Vec<&str>> = BTreeMap::new();
    for place in <Repos as RegionSet>::PLACES {
        let order = <Repos as RegionSet>::nearest_to(place).collect();
        places_by_order.entry(order).or_default().push(place);
    }
    let mut table = plain_table(["FROM", "NEAREST FIRST"], 2);
    for (order, places) in places_by_order {
        table.add_row([places.join(" "), order.join(" ")]);
    }
    trimmed(&table)
}

/// The pool size and the routing rules of regions.toml.
pub(super) fn limits() -> String {
    let mut limits = String::new();
    let _ = writeln!(limits, "pool size  {}", <Repos as RegionSet>::POOL_SIZE);
    let _ = writeln!(limits, "max lag    {:?}", <Repos as RegionSet>::MAX_LAG);
    let _ = writeln!(limits, "max spill  {} reads", <Repos as RegionSet>::MAX_SPILL);
    let _ = writeln!(limits, "writes     {}", <Repos as RegionSet>::WRITES);
    limits
}
