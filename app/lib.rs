//! The users pages: every page is read from the replica nearest to its visitor, every change is
//! written to the primary.
//!
//! How the program starts: `main` → `cli` (a command) → `settings` (from the environment) →
//! `server`. Without a `DATABASE_URL`, `local_databases` starts PostgreSQL first.
//!
//! How a request is answered: `server` (its middleware) → `routes` (the table of URLs) → `pages`
//! (the handlers) → `reads` on a [`Reader`](repos::Reader) or `writes` on a
//! [`Writer`](repos::Writer) → `repos` (generated from regions.toml) → Postgres; then `views` fills
//! a template with the rows. A handler that fails returns a `Failure`, and `pages::error_pages`
//! makes a page of it.
//!
//! A module is public where the tests, the checker or the benchmarks use it.
#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "the documentation lints are for libraries; this crate is a program"
)]

mod bench;
pub mod cli;
mod console;
mod doctor;
mod environment;
mod event_stream;
mod failure;
pub mod form;
#[cfg(feature = "lab")]
pub mod local_databases;
mod logging;
pub mod metrics;
pub mod migrations;
mod overview;
mod pages;
pub mod paging;
pub mod plain_table;
pub mod reads;
pub mod repos;
mod routes;
pub mod schema;
pub mod server;
pub mod settings;
mod signals;
#[cfg(feature = "otlp")]
mod traces;
pub mod urls;
pub mod users;
pub mod views;
mod writes;
