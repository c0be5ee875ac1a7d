//! `regions.toml`, checked line by line and rendered as one `repos!` call.
//!
//! A program needs a build script of one line:
//!
//! ```no_run
//! // build.rs
//! fn main() {
//!     archipelago_regions::build("regions.toml");
//! }
//! ```
//!
//! and, in the module of its repos, `include!(concat!(env!("OUT_DIR"), "/repos.rs"));`.
//!
//! [`build`] reads and writes files. It calls two pure functions, [`check`] and [`render`]:
//!
//! ```
//! let text = "primary = \"nrt\"\nreplicas = [\"ord\", \"NRT\"]\n";
//! let mistakes = archipelago_regions::check("regions.toml", text, None).unwrap_err();
//! assert_eq!(
//!     mistakes[0].to_string(),
//!     r#"regions.toml:2: "NRT" is not a valid region code; write "nrt""#,
//! );
//!
//! let text = text.replace("\"NRT\"", "\"ams\"");
//! let regions = archipelago_regions::check("regions.toml", &text, None).unwrap();
//! assert!(archipelago_regions::render(&regions).contains("primary nrt { line: 1, "));
//! ```
//!
//! [`round_trip`] estimates how near two places are, by a model of the world's cables, and
//! [`nearest_first`] sorts replicas by it.
//!
//! The macro in archipelago-macros (`macros/src/parse.rs`) parses what [`render`] writes. This
//! crate knows TOML and the map of the world. It must know nothing of databases and web servers,
//! and of Rust only how a region's type is named.

#![expect(clippy::needless_doctest_main, reason = "the example is a whole build.rs")]

mod build_script;
mod check;
mod mistake;
mod nearness;
mod places;
mod region_code;
mod regions;
mod render;
mod world;

pub use build_script::{build, load};
pub use check::{Distance, check, check_distances};
pub use mistake::Mistake;
pub use nearness::nearest_first;
pub use places::{Place, built_in_places};
pub use region_code::{MAX_REGION_CODE_LEN, is_region_code, rust_name};
pub use regions::{Region, Regions, Writes};
pub use render::render;
pub use world::{cable_km, distance_km, round_trip};
