//! `regions.toml`, checked line by line and rendered as one `repos!` call.
//!
//! A build script of one line is all that a program needs:
//!
//! ```no_run
//! // build.rs
//! fn main() {
//!     archipelago_regions::build("regions.toml");
//! }
//! ```
//!
//! and, where the repos shall live, `include!(concat!(env!("OUT_DIR"), "/repos.rs"));`.
//!
//! Underneath are two pure functions, [`check`] and [`render`], which touch no file:
//!
//! ```
//! let source = "primary = \"nrt\"\nreplicas = [\"ord\", \"NRT\"]\n";
//! let mistakes = archipelago_regions::check("regions.toml", source, None).unwrap_err();
//! assert_eq!(
//!     mistakes[0].to_string(),
//!     r#"regions.toml:2: "NRT" is not the form of a region code; write "nrt""#,
//! );
//!
//! let source = source.replace("\"NRT\"", "\"ams\"");
//! let regions = archipelago_regions::check("regions.toml", &source, None).unwrap();
//! assert!(archipelago_regions::render(&regions).contains("primary nrt { line: 1, "));
//! ```
//!
//! How near two places are is [`round_trip`], by a model of the world's cables; [`order`] sorts replicas by it.
//!
//! What the file may say is walked in [`check()`]'s module; what comes out is parsed by
//! archipelago-macros (`macros/src/parse.rs`). This crate knows TOML and the map of the world;
//! it knows nothing of Rust's syntax beyond a name, and nothing of databases or web servers.

#![expect(clippy::needless_doctest_main, reason = "the example is a whole build.rs")]

mod check;
mod code;
mod mistake;
mod nearness;
mod places;
mod regions;
mod render;
mod script;
mod world;

pub use check::{Distance, check, check_distances};
pub use code::rust_name;
pub use mistake::Mistake;
pub use nearness::order;
pub use places::{Place, built_in_places};
pub use regions::{Region, Regions, Writes};
pub use render::render;
pub use script::{build, load};
pub use world::{cable_km, distance_km, round_trip};
