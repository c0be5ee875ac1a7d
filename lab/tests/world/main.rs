//! Worlds of PostgreSQL servers: how they start and stop, what can be done to them, what outlives
//! them.
//!
//! One binary, so that tests share servers, and some always run while another waits.

mod folders;
mod holder;
mod sql;

mod apart;
#[cfg(feature = "macros")]
mod attribute;
mod commands;
mod control;
mod crash;
mod faults;
#[cfg(feature = "fetch")]
mod fetch;
mod folder;
mod histories;
mod killed;
mod leftovers;
mod promotion;
#[cfg(feature = "fetch")]
mod releases;
mod root;
mod search;
#[cfg(feature = "macros")]
mod shared_servers;
#[cfg(feature = "cli")]
mod typed_commands;

use std::time::Duration;

/// Long enough for any machine: a test that waits so long has failed.
const DEADLINE: Duration = Duration::from_secs(30);
