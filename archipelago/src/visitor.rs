//! A visitor of a program: the positions that they carry from request to request, and where their
//! writes run. Knows no web framework.
//!
//! Each request has a [`Session`]. Handles [for a visitor](crate::Replica::for_visitor) read and
//! write with it. Without a framework, or with one that has no door here, a [`Signer`] makes it from
//! a request's headers and says what the answer has to carry:
//!
//! ```no_run
//! # archipelago::repos! { primary home; replica near }
//! # diesel::table! { users (id) { id -> BigInt, name -> Text } }
//! use archipelago::visitor::{Key, POSITION, Signer, WriteRequest};
//! use archipelago::{Error, RepoSet};
//! use diesel::prelude::*;
//!
//! # async fn example(repos: Repos, key: Key, cookie: &str, header: &str) -> Result<(), Error> {
//! let signer = Signer::new(key);
//! // The values of the request's headers `cookie` and `archipelago-position`.
//! let session = signer.session([cookie], [header]);
//!
//! // A request that writes may belong to the primary's region. `|name| …` looks a header up.
//! let request = WriteRequest::new(|name| (name == "content-length").then_some("5"), false);
//! if let Some(replay) = repos.replay(request) {
//!     let (name, value) = replay.header();
//!     println!("answer {} with {name}: {value}", replay.status());
//! }
//!
//! let names = users::table.select(users::name);
//! let names: Vec<String> = repos.replica().for_visitor(&session).load(names).await?;
//!
//! let is_secure = true;
//! for (name, value) in signer.answer_headers(&session, is_secure) {
//!     println!("{name}: {value}");
//! }
//! # Ok(())
//! # }
//! ```

#[cfg(any(feature = "visitor", test))]
mod cookie;
mod error_response;
mod fly_replay;
#[cfg(feature = "visitor")]
mod forwarded;
#[cfg(feature = "visitor")]
mod keys;
#[cfg(all(test, feature = "visitor"))]
mod odd_input;
#[cfg(test)]
mod overlapping;
mod session;
mod session_data;
#[cfg(feature = "visitor")]
mod signer;

#[cfg(feature = "visitor")]
pub use ::cookie::Key;

pub use self::error_response::ErrorResponse;
pub use self::fly_replay::{FLY_REPLAY, Replay, WriteRequest};
#[cfg(feature = "visitor")]
pub use self::forwarded::forwarded_scheme;
#[cfg(feature = "visitor")]
pub use self::keys::Keys;
pub use self::session::Session;
#[cfg(test)]
pub(crate) use self::session_data::{Brought, SessionData};
#[cfg(feature = "visitor")]
pub use self::signer::{POSITION, Signer};
