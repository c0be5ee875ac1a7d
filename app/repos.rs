//! The typed repos: `Repos`, and one such as `RepoNrt` for each region.
//!
//! Generated: regions.toml → build.rs → regions/ → `OUT_DIR/repos.rs` (one macro call) → macros/ →
//! here.

include!(concat!(env!("OUT_DIR"), "/repos.rs"));

/// A handler's argument that reads: from the nearest replica that is fresh enough for the visitor.
pub type Reader = archipelago::actix::Reader<Repos>;

/// A handler's argument that writes: behind Fly.io's proxy, the handler runs in the primary's
/// region.
pub type Writer = archipelago::actix::Writer<Repos>;

/// The region whose database takes the writes. None while no database does.
pub(crate) fn leading_region(repos: &Repos) -> Option<&'static str> {
    use archipelago::RepoSet;

    repos.cluster().no_primary().is_none().then(|| repos.leader().info().code)
}
