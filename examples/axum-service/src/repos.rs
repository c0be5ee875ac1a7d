//! Generated from regions.toml by build.rs: `Repos`, and a type for each region.

include!(concat!(env!("OUT_DIR"), "/repos.rs"));

pub type Reader = archipelago::axum::Reader<Repos>;
pub type Writer = archipelago::axum::Writer<Repos>;
