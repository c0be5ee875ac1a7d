//! Visits to the app over HTTP, against a real primary and real replicas; the program as a process;
//! and the structure of the workspace.
//!
//! The regions are those of regions.toml: when one is added, these tests need no change.

mod app {
    pub mod alerts;
    pub mod attacks;
    pub mod axe;
    pub mod bench;
    pub mod browser;
    // The core counts with it too, and a crate for one file would be more than it saves.
    #[path = "../../archipelago/tests/world/counting_proxy.rs"]
    pub mod counting_proxy;
    pub mod dashboard;
    pub mod doctor;
    pub mod error_words;
    pub mod failover;
    pub mod failures;
    pub mod house;
    pub mod lab;
    pub mod lab_map;
    pub mod listing;
    pub mod live_map;
    pub mod log;
    pub mod migrating;
    pub mod modules;
    pub mod monitoring;
    pub mod once;
    pub mod operations;
    pub mod pages;
    // The core's tests start it too.
    #[path = "../../archipelago/tests/world/pgbouncer.rs"]
    pub mod pgbouncer;
    pub mod pictures;
    pub mod poolers;
    pub mod process;
    pub mod program;
    pub mod prometheus;
    pub mod replay;
    pub mod rooms;
    pub mod routing;
    pub mod schema;
    pub mod site;
    pub mod snippets;
    #[cfg(feature = "otlp")]
    pub mod traces;
    pub mod users;
    pub mod visitor;
}
