//! Generated from regions.toml by build.rs: `Repos`, and a type for each region.

include!(concat!(env!("OUT_DIR"), "/repos.rs"));

pub type Reader = archipelago::actix::Reader<Repos>;
pub type Writer = archipelago::actix::Writer<Repos>;
