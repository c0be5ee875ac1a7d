//! What a generated repo stands on: a read-only handle for each replica, a writing one for the primary, and the pools under them.
//!
//! List your regions, and every region is a Rust type. In an app, `build.rs` makes the list from `regions.toml`
//! (see `archipelago-regions`); in a test, write it by hand with regions that exist nowhere:
//!
//! ```no_run
//! use diesel::prelude::*;
//!
//! archipelago::repos! { primary home; replica near; replica far }
//!
//! diesel::table! {
//!     users (id) { id -> BigInt, name -> Text }
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // One ordinary database plays every region. `Settings::from_env` is for the real thing.
//! let settings = archipelago::Settings::single_database::<Repos>("postgres://localhost/app")?.in_region("near");
//! let repos = Repos::connect(&settings).await?;
//!
//! // Reads take the replica of this instance's region …
//! let names: Vec<String> = repos.replica().load(users::table.select(users::name).order(users::id)).await?;
//! // … and writes the primary. `repos.replica().load(diesel::insert_into(…))` does not compile.
//! repos.primary().execute(diesel::insert_into(users::table).values(users::name.eq("Ada"))).await?;
//! repos.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! What this crate must not know: any region's name, any page, any file. The names come in with [`repos!`].

#[cfg(doctest)]
mod book;
mod cluster;
mod connect;
mod connection;
mod error;
mod freshness;
mod pool;
mod position;
mod primary;
mod protection;
mod question;
mod region;
mod replica;
mod repo_set;
mod route;
mod select;
mod settings;
mod state;
mod timeouts;
mod tls;
mod transaction;
mod url;

#[cfg(feature = "actix")]
pub mod actix;

pub use archipelago_macros::repos;

pub use crate::cluster::{Cluster, Health, Member};
pub use crate::connect::ConnectError;
pub use crate::error::Error;
pub use crate::freshness::Freshness;
pub use crate::pool::{Access, Pool, PoolState};
pub use crate::position::{Committed, Position};
pub use crate::primary::Primary;
pub use crate::protection::Protection;
pub use crate::question::LoadsAs;
pub use crate::region::{Reason, RegionInfo, Role, ServedBy, UnknownRegion, Writes};
pub use crate::replica::Replica;
pub use crate::repo_set::RepoSet;
pub use crate::route::Served;
pub use crate::select::PlainSelect;
pub use crate::settings::{SettingError, Settings, override_variable};
pub use crate::timeouts::Timeouts;
pub use crate::transaction::Snapshot;
pub use crate::url::{DatabaseUrl, UrlError};
