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
//! # In a test
//!
//! `#[archipelago_lab::test(…)]` gives a test a [`World`], on servers that it shares with other tests
//! or on its own; see [`test`](macro@test).
//!
//! Everybody who uses a world shares its servers, roles and passwords, and feels it when a server is
//! paused or stopped; [`World::create_database`] keeps the data apart.
//!
//! # How far apart
//!
//! Between any two places stands a line: see [`Links`] for what it delays and how it is cut, [`Distances`] for how long it is,
//! and [`Server::url_from`] for how to take it. The map of the world is archipelago-regions'; the lab knows nothing else of
//! Archipelago.
//!
//! # What can go wrong, on purpose
//!
//! [`Server`]: [stop](Server::stop), [kill](Server::kill), [freeze](Server::freeze), [lag](Server::lag) or
//! [pause](Server::pause_replay) one. [`Links`]: [cut](Links::cut) or [slow](Links::slow) the way between two places.
//! [`World`]: [promote](World::promote) a replica with the old primary running or not, let it [rejoin](World::rejoin).
//! [`World::status`] tells how all of them are. As a [`Command`] each can be sent to a world in another process: [`Remote`].
//!
//! # Finding PostgreSQL
//!
//! See [`Search`].

/// The examples of the README are compiled like those of the code.
#[cfg(all(doctest, feature = "macros"))]
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
mod scram;
mod secrets;
mod server;
mod session;
mod settings;
mod site;
mod stale;
mod status;
mod sweep;
mod sweeper;
#[cfg(feature = "macros")]
mod test;
mod world;

/// Makes an `async fn` a test that takes a [`World`].
///
/// ```rust,test_harness
/// use archipelago_lab::{LabError, World};
///
/// #[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
/// async fn every_region_has_a_server(world: World) -> Result<(), LabError> {
///     assert_eq!(world.servers().count(), 3);
///     Ok(())
/// }
/// ```
///
/// - `primary`: the region of the primary.
/// - `replicas`: the regions with a replica; none, if it is left out.
/// - `own_servers`: nobody else uses the servers, so the test may harm them. They start with the test and stop with it, which
///   costs about two seconds.
///
/// Without `own_servers` all tests of a process that name the same regions, in the same order, share servers, which start with
/// the first of these tests. [`Server::url`] leads to a database that is this test's alone: it is made before the test, on every
/// replica too, which costs about a tenth of a second, and dropped after it. What would harm the neighbours is refused with
/// [`LabError::Shared`]. What the neighbours can see is what belongs to a whole server: roles, positions in the log,
/// and the names of databases that a test makes besides its own.
///
/// `cargo nextest` runs each test in a process of its own: nothing is shared, and each starts its servers.
///
/// The test is an ordinary one, so `#[ignore]`, `#[should_panic]` and a `Result` work as always; but give `should_panic` its
/// `expected`, as a test panics, too, when there are no servers for it. It runs on a multi-threaded tokio runtime of its own. It
/// fails when it has not ended within five minutes: each of its waits should have a deadline much shorter than that.
#[cfg(feature = "macros")]
pub use archipelago_lab_macros::test;
pub use builder::Builder;
pub use command::{Command, CommandOutput, ServerUrl};
pub use control::{Remote, RemoteError};
pub use distances::Distances;
pub use error::LabError;
pub use lines::{Link, Links};
pub use postgres::{NotFound, Postgres, Search};
pub use region::is_region_name;
pub use server::{Role, Server};
pub use status::{LinkStatus, ServerState, ServerStatus, Status};
#[cfg(feature = "macros")]
#[doc(hidden)]
pub use test::Test as __Test;
pub use tokio_postgres::types::PgLsn;
pub use world::{Promotion, Rejoined, World};
