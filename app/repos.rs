//! The typed repos. Generated: regions.toml → build.rs → regions/src/render.rs → `OUT_DIR/repos.rs` → macros/ → here.

include!(concat!(env!("OUT_DIR"), "/repos.rs"));

/// Reads, as a handler's argument.
pub type Reader = archipelago::actix::Reader<Repos>;

/// Writes, as a handler's argument.
pub type Writer = archipelago::actix::Writer<Repos>;
