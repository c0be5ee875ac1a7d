//! A real Postgres primary and one real streaming replica per region, on one machine, for
//! development and tests.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use archipelago_lab::World;
//!
//! let world = World::builder().primary("nrt").replicas(["ord", "ams"]).start().await?;
//! println!("write here: {}", world.primary().url());
//! for replica in world.replicas() {
//!     println!("read in {}: {}", replica.region(), replica.url());
//! }
//!
//! // Read on a replica what was written on the primary.
//! let written = world.primary().position().await?;
//! if let Some(ord) = world.server("ord") {
//!     ord.wait_until_replayed(written, Duration::from_secs(5)).await?;
//! }
//! world.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What outlives what
//!
//! Nothing outlives the process that holds the [`World`]: no server, and without
//! [`Builder::folder`] no file either. That holds after `drop`, a panic, Ctrl-C and `kill -9`: each
//! server runs under a small `sh` whose standard input is a pipe held by this process, and a
//! process that is gone, however it went, has closed its pipes. So a world may live in a `static`,
//! shared by all tests of a file.
//!
//! # What is shared
//!
//! Everything in one world: servers, roles, passwords. [`World::create_database`] gives a test a
//! database of its own. Pausing or stopping a server is felt by everybody who uses that world.
//!
//! # How far apart
//!
//! Between any two places stands a line: see [`Lines`] for what it delays and how it is cut, [`Distances`] for how long it is,
//! and [`Server::url_from`] for how to take it. The map of the world is archipelago-regions'; the lab knows nothing else of
//! Archipelago.
//!
//! # What can go wrong, on purpose
//!
//! [`Server`]: [stop](Server::stop), [kill](Server::kill), [freeze](Server::freeze), [lag](Server::lag) or
//! [pause](Server::pause_replay) one. [`Lines`]: [cut](Lines::cut) or [slow](Lines::slow) the way between two places.
//! [`World`]: [promote](World::promote) a replica with the old primary running or not, let it [rejoin](World::rejoin).
//! [`World::status`] tells how all of them are. As a [`Command`] each can be sent to a world in another process: [`Remote`].
//!
//! # Finding PostgreSQL
//!
//! See [`Search`].

/// The examples of the README are compiled like those of the code.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(not(unix))]
compile_error!("archipelago-lab needs a Unix: it runs PostgreSQL under `sh`");

mod account;
mod builder;
mod cluster;
mod command;
mod control;
mod distances;
mod error;
mod family;
mod lines;
mod lock;
mod machine;
mod pair;
mod place;
mod port;
mod postgres;
mod process;
mod promotions;
mod region;
mod secrets;
mod server;
mod session;
mod settings;
mod site;
mod stale;
mod status;
mod sweep;
mod sweeper;
mod world;

pub use builder::Builder;
pub use command::{Answer, Command, ServerUrl};
pub use control::{Remote, RemoteError};
pub use distances::Distances;
pub use error::LabError;
pub use lines::{Line, Lines};
pub use postgres::{NotFound, Postgres, Search};
pub use server::{Role, Server};
pub use status::{LineStatus, ServerState, ServerStatus, Status};
pub use tokio_postgres::types::PgLsn;
pub use world::{Promotion, Rejoined, World};
