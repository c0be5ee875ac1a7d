//! What `archipelago regions` prints: the compiled regions, where the environment puts them, and the order of nearness.

use std::collections::BTreeMap;
use std::fmt::Write;

use archipelago::RegionSet;

use crate::plain_table::{plain_table, trimmed};
use crate::repos::Repos;

/// Every region with its repo, role, place, and the host and port that `settings` resolve; without settings, a dash.
#[must_use]
pub fn table(settings: Option<&archipelago::Settings>) -> String {
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

/// The replicas by nearness, from every place that the list of places knows; places that agree share a line.
#[must_use]
pub fn orders() -> String {
    let mut places: BTreeMap<Vec<&str>, Vec<&str>> = BTreeMap::new();
    for place in <Repos as RegionSet>::PLACES {
        places.entry(<Repos as RegionSet>::nearest_to(place).collect()).or_default().push(place);
    }
    let mut table = plain_table(["FROM", "NEAREST FIRST"], 2);
    for (order, places) in places {
        table.add_row([places.join(" "), order.join(" ")]);
    }
    trimmed(&table)
}

/// What regions.toml says beside the regions.
#[must_use]
pub fn rules() -> String {
    let mut rules = String::new();
    let _ = writeln!(rules, "pool size  {}", <Repos as RegionSet>::POOL_SIZE);
    let _ = writeln!(rules, "max lag    {:?}", <Repos as RegionSet>::MAX_LAG);
    let _ = writeln!(rules, "max spill  {} reads", <Repos as RegionSet>::MAX_SPILL);
    let _ = writeln!(rules, "writes     {}", <Repos as RegionSet>::WRITES);
    rules
}
