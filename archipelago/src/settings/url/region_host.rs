//! Fly's rule for the host of a region's member.

/// The host of a region's member. None where the host leads to one server in any case.
pub(super) fn region_host(
    host: &str,
    region: &str,
    is_region: impl Fn(&str) -> bool,
) -> Option<String> {
    let lower = host.trim_end_matches('.').to_ascii_lowercase();
    let host = without_nearest(&lower);
    let (first, rest) = host.split_once('.')?;
    let is_fixed = host.ends_with(".flycast")
        || host.ends_with(".internal") && (rest.starts_with("vm.") || rest.starts_with("process."));
    // `ord.internal` is an app called ord; `ord.app.internal` is the app's member in ord.
    let has_region = is_region(first) && rest.contains('.');
    (!is_fixed && !has_region).then(|| format!("{region}.{host}"))
}

/// `top2.nearest.of.app.internal` → `app.internal`.
fn without_nearest(host: &str) -> &str {
    host.split_once(".nearest.of.")
        .filter(|(top, _)| {
            top.strip_prefix("top")
                .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        })
        .map_or(host, |(_, rest)| rest)
}
