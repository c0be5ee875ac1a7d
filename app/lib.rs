//! The users pages: reads from the replica nearest to this instance, writes to the primary.
//!
//! The way of a request: `routes` → `pages` → `reads` (a [`Reader`](repos::Reader)) or `writes` (a [`Writer`](repos::Writer)) →
//! `repos`, which is generated from regions.toml.

pub mod bench;
pub mod cli;
pub mod failure;
pub mod form;
#[cfg(feature = "lab")]
pub mod local;
pub mod log;
pub mod metrics;
pub mod migrations;
pub mod notice;
pub mod origin;
pub mod pages;
pub mod paging;
pub mod plain_table;
pub mod reads;
pub mod regions;
pub mod repos;
pub mod routes;
pub mod schema;
pub mod server;
pub mod settings;
pub mod users;
pub mod views;
pub mod writes;
