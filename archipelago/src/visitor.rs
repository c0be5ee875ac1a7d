//! A visitor of an app: the positions that they carry from request to request, and where their
//! writes run. Plain data and pure decisions; knows no web framework.

mod replay;
mod session;

pub use self::replay::FLY_REPLAY;
pub(crate) use self::replay::{FLY_REGION, REPLAYED, WriteRequest, should_replay};
pub(crate) use self::session::Session;
