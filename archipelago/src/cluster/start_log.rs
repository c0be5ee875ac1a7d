//! What the log says at the start: where each region's database is.

use crate::region::{RegionInfo, Role};
use crate::settings::{DatabaseUrl, RegionSet, Settings, SettingsError, override_variable};

/// A region and its URL.
type Placed<'a> = (&'static RegionInfo, &'a DatabaseUrl);

/// Logs the servers of all regions, and warns of replicas that are none.
pub(super) fn log_start<R: RegionSet>(settings: &Settings) -> Result<(), SettingsError> {
    let used = R::REGIONS.iter().filter(|info| !settings.is_off(info.code));
    let placed = used.map(|info| Ok((info, settings.url(info.code)?)));
    let placed = placed.collect::<Result<Vec<Placed<'_>>, SettingsError>>()?;
    tracing::info!(
        region = settings.region(),
        pool_size = settings.pool_size(),
        databases = servers(&placed),
        "the databases of this instance"
    );
    for code in without_server(&placed) {
        tracing::warn!(
            "the URL of the replica `{code}` leads to the primary's server, which serves its \
             reads: if it has a server, set {}",
            override_variable(code)
        );
    }
    Ok(())
}

/// Each region with its host and port.
fn servers(placed: &[Placed<'_>]) -> String {
    let server = |(info, url): &Placed<'_>| {
        let role = if info.role == Role::Primary { " (primary)" } else { "" };
        format!("{}{role} at {}:{}", info.code, url.host(), url.port())
    };
    placed.iter().map(server).collect::<Vec<_>>().join(", ")
}

/// The replicas at the primary's server, where others have servers of their own. One database may
/// play all regions.
fn without_server<'a>(placed: &'a [Placed<'a>]) -> impl Iterator<Item = &'static str> + 'a {
    let primary = placed.iter().find(|(info, _)| info.role == Role::Primary).map(|(_, url)| *url);
    let is_at_primary = move |url: &DatabaseUrl| primary.is_some_and(|it| it.is_same_server(url));
    let has_replicas = placed.iter().any(|(_, url)| !is_at_primary(url));
    let replicas = placed.iter().filter(|(info, _)| info.role == Role::Replica);
    replicas.filter(move |(_, url)| has_replicas && is_at_primary(url)).map(|(info, _)| info.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    static REGIONS: [RegionInfo; 3] = [
        RegionInfo::new("nrt", "nrt", "RepoNrt", Role::Primary, None, None, None),
        RegionInfo::new("ord", "ord", "RepoOrd", Role::Replica, None, None, None),
        RegionInfo::new("ams", "ams", "RepoAms", Role::Replica, None, None, None),
    ];

    #[test]
    fn replicas_without_a_server_of_their_own() {
        let (home, other) = ("postgres://app:hunter2@db:5001/app", "postgres://db:5002/app");
        for (urls, expected) in [
            ([home, home, home], &[][..]),
            ([home, other, home], &["ams"]),
            ([home, home, other], &["ord"]),
            ([home, other, other], &[]),
        ] {
            let urls = urls.map(|url| url.parse::<DatabaseUrl>().unwrap());
            let placed: Vec<_> = REGIONS.iter().zip(&urls).collect();
            assert_eq!(without_server(&placed).collect::<Vec<_>>(), expected);
            assert!(servers(&placed).starts_with("nrt (primary) at db:5001, ord at db:500"));
        }
    }
}
