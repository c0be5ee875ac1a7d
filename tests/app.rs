//! Visits to the real app, over HTTP, against a real primary and real replicas; and the program and the house as a whole.
//!
//! The regions are those of regions.toml, whichever they are: adding one keeps these tests green.

mod app {
    pub mod bench;
    pub mod browser;
    #[path = "../../archipelago/tests/world/counter.rs"]
    pub mod counter;
    pub mod failover;
    pub mod failures;
    pub mod house;
    pub mod lab;
    pub mod listing;
    pub mod modules;
    pub mod once;
    pub mod operations;
    pub mod process;
    pub mod program;
    pub mod replay;
    pub mod rooms;
    pub mod routing;
    pub mod schema;
    pub mod site;
    pub mod users;
    pub mod visitor;
}
