//! A real Postgres primary and one real streaming replica per region, on one machine, for
//! development and tests.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use archipelago_lab::World;
//!
//! let world = World::builder().primary("nrt").replicas(["ord", "ams"]).start().await?;
//! println!("write here: {}", world.primary().url());
//! for replica in world.replicas() {
//!     println!("read in {}: {}", replica.region(), replica.url());
//! }
//!
//! // After this every replica shows what was written on the primary.
//! world.catch_up().await?;
//! world.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # When servers stop
//!
//! No server outlives the process that holds the [`World`], and without [`Builder::folder`] no file
//! does. That holds after `drop`, a panic, Ctrl-C and `kill -9`: each server runs under a small
//! `sh` that reads a pipe of this process, and the system closes the pipe when the process ends. So
//! a world may live in a `static` that all tests of a file share.
//!
//! # In a test
//!
//! `#[archipelago_lab::test(…)]` gives a test a [`World`], on servers that it shares with other
//! tests or on its own; see [`test`](macro@test). [`World::catch_up`] and [`eventually`] wait, with
//! a deadline.
//!
//! Tests that share a world share its servers, roles and passwords, and are affected when a server
//! is paused or stopped. [`World::create_database`] keeps their data apart.
//!
//! # Distances
//!
//! A link joins any two places. [`Links`] describes what it delays and how to cut it, [`Distances`]
//! says how long it is, and [`Server::url_from`] leads over it. The crate `archipelago-regions` has
//! the map of the world. The lab uses no other part of Archipelago.
//!
//! # Faults
//!
//! [`Server`]: [stop](Server::stop), [kill](Server::kill), [freeze](Server::freeze),
//! [lag](Server::lag) or [pause](Server::pause_replay) one. [`Links`]: [cut](Links::cut) or
//! [slow](Links::slow) the link between two places. [`World`]: [promote](World::promote) a replica
//! while the old primary runs or not, and let it [rejoin](World::rejoin). [`World::status`] shows
//! the state of all of them.
//!
//! Rarer ones: start a replica [writable](Server::start_writable), give a server another
//! [clock](Server::set_clock), let one [connection vanish](Server::blackhole_one), replace a server
//! by a [clone](World::replace_by_clone), [put the primary back](World::put_back_to) to an older
//! copy, or [start anew](World::start_anew) behind the same URLs.
//! As a [`Command`] each can be sent to a world in another process:
//! [`Remote`].
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

// From the ground up: a module uses others of its group, and of the groups above, without circles.
mod eventually;
mod file_lock;
mod layout;
mod poll;
// An installation of PostgreSQL, and running its programs.
mod postgres;
mod process;
// Needs PostgresNotFound; all others return its errors.
mod error;
mod port;
mod region;
// What a world is made of: its links, its folder, its passwords, its data.
mod cleanup;
mod data_dir;
mod disk;
mod links;
mod passwords;
mod world_context;
mod world_dir;
// One server, what it does, and the handle to it.
mod server;
mod server_process;
// What a world is told and tells.
mod command;
mod control;
mod status;
// The world itself.
#[cfg(feature = "macros")]
mod test_attribute;
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
/// - `primary`: the region of the primary. A name in quotes, or a constant: `&'static str`.
/// - `replicas`: the regions with a replica; by default none. A list of names in quotes, or a
///   constant: `&'static [&'static str]`.
/// - `own_servers`: no other test uses the servers, so the test may harm them. They start with the
///   test and stop with it, which costs about two seconds.
/// - `flavor`: `"multi_thread"` by default, so that a test may block in place. With
///   `"current_thread"` everything runs on the test's own thread, as with a plain `#[tokio::test]`.
///
/// Without `own_servers` all tests of a process that name the same regions in the same order share
/// servers, which start with the first of these tests. [`Server::url`] leads to a database of the
/// test's own: it is made before the test on every server, which costs about a tenth of a second,
/// and dropped after it. What would harm other tests is refused with [`LabError::SharedServers`].
/// They see what belongs to a whole server: roles, positions in the log, and the names of
/// databases.
///
/// `cargo nextest` runs each test in a process of its own: there tests share nothing, and each
/// starts its servers.
///
/// `#[ignore]`, `#[should_panic]` and a `Result` work as in other tests. Give `should_panic` its
/// `expected`, because a test also panics if it gets no servers. A test fails if it has not ended
/// within five minutes: each of its waits should have a much shorter deadline.
#[cfg(feature = "macros")]
pub use archipelago_lab_macros::test;
pub use command::{Command, CommandOutput, ServerUrl};
pub use control::{Remote, RemoteError};
pub use error::LabError;
pub use eventually::{Condition, eventually};
pub use links::{Distances, Link, Links};
pub use postgres::{Postgres, PostgresNotFound, Search};
pub use server::Server;
pub use server_process::{Rejoined, Role, can_set_clocks};
pub use status::{LinkStatus, ServerState, ServerStatus, Status};
#[cfg(feature = "macros")]
#[doc(hidden)]
pub use test_attribute::{Flavor as __Flavor, Test as __Test};
pub use tokio_postgres::types::PgLsn;
pub use world::{Backup, Builder, Promotion, World};
