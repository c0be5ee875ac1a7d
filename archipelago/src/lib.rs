//! Read from the Postgres replica nearest to your users, checked by the compiler: what the
//! generated repos of [`repos!`] stand on.
//!
//! List your regions, and every region is a Rust type. In an app, `build.rs` makes the list from
//! `regions.toml` (see `archipelago-regions`); a test may list invented regions by hand:
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
//! // `DATABASE_URL`, `FLY_REGION` and so on. `Settings::single_database` is for a test.
//! let settings = archipelago::Settings::from_env::<Repos>()?;
//! let repos = Repos::connect(&settings).await?;
//!
//! // Reads take the replica of this instance's region …
//! let by_id = users::table.select(users::name).order(users::id);
//! let names: Vec<String> = repos.replica().load(by_id).await?;
//! // … and writes the primary. `repos.replica().load(diesel::insert_into(…))` does not compile.
//! repos.primary().execute(diesel::insert_into(users::table).values(users::name.eq("Ada"))).await?;
//! repos.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # The rooms of this crate
//!
//! Each room uses only those above it; `tests/app/rooms.rs` enforces this.
//!
//! | room | what it holds |
//! | --- | --- |
//! | `error`, `region`, `position`, `query` | plain data, and what Diesel must be able to do with a query |
//! | `settings` | where the databases are and how to use them: URLs, TLS, timeouts |
//! | `timing` | how long callers wait, recorded with the feature `metrics` |
//! | `server` | what a server reports of itself, and whether it is fresh enough: facts and pure decisions |
//! | `connection` | opens a connection, and sends one request on it |
//! | `pool` | the connections to one server |
//! | `cluster` | all databases together: members, monitor, election |
//! | `visitor` | the positions that a visitor carries, and where their writes run; knows no web framework |
//! | `query_span` | the span of a read or a write, for traces |
//! | `read`, `write` | the handles [`Replica`] and [`Primary`], and the failover of a read |
//! | `repo_set` | what a generated `Repos` is to code that knows no region's name |
//! | `metrics` (feature) | the state of the databases as metrics |
//! | `handler` | [`Reader`] and [`Writer`]: what the handler of a request takes |
//! | `actix`, `axum` (features) | both as arguments of handlers, and what an answer has to carry |
//!
//! This crate knows no region's name, no page and no file. The names come in with [`repos!`].

#[cfg(doctest)]
mod book;
mod cluster;
mod connection;
mod error;
mod handler;
mod pool;
mod position;
mod query;
mod query_span;
mod read;
mod region;
mod repo_set;
mod server;
mod settings;
#[cfg(test)]
mod simulation;
mod timing;
pub mod visitor;
mod write;

#[cfg(feature = "actix")]
pub mod actix;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "metrics")]
pub mod metrics;

pub use archipelago_macros::repos;

pub use crate::cluster::{Cluster, Member, Traffic};
pub use crate::connection::{Isolation, connect, connect_with_errors};
pub use crate::error::{
    CloseReason, DownReason, Error, NoPrimary, NotServed, PoolCounts, QueryError, ServerErrors,
    Tried,
};
pub use crate::handler::{Reader, Writer};
pub use crate::pool::{Pool, PoolState};
pub use crate::position::{Committed, InvalidPosition, Position};
#[doc(hidden)]
pub use crate::query::ExecutedOnAReplica;
pub use crate::query::{LoadsAs, PlainSelect};
pub use crate::read::{ReadResult, Replica, Snapshot};
pub use crate::region::{Coordinates, Reason, RegionInfo, Role, ServedBy, UnknownRegion, Writes};
pub use crate::repo_set::RepoSet;
pub use crate::server::{Change, Event, Freshness, Health};
#[cfg(feature = "testing")]
pub use crate::settings::Safeguard;
pub use crate::settings::{
    Access, DatabaseUrl, Login, RegionSet, SettingProblem, Settings, SettingsError, SslMode,
    Timeouts, TlsError, UrlError, override_variable, warn_of_unknown_overrides,
};
pub use crate::write::{Primary, Retrying};
