//! A visitor of an app: the positions that they carry from request to request, and where their
//! writes run. Plain data and pure decisions; knows no web framework.

mod cookie;
mod fly_replay;
#[cfg(test)]
mod overlapping;
mod session;

pub(crate) use self::cookie::{Brought, Claim, cookie_name, header_value};
pub use self::fly_replay::FLY_REPLAY;
pub(crate) use self::fly_replay::{FLY_REGION, REPLAY_MARKS, WriteRequest, should_replay};
pub(crate) use self::session::Session;
