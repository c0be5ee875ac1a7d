//! What is known of the servers: their reports, what follows from them, and whether a read may use
//! it.
//!
//! Facts and pure decisions. Nothing here opens a connection or waits for a server.

mod freshness;
mod health;
mod report;
mod state;
mod timelines;

pub use self::freshness::Freshness;
pub(crate) use self::freshness::{NotFresh, Requirement};
pub use self::health::Health;
pub(crate) use self::health::HealthRecord;
pub(crate) use self::report::{ServerIdentity, ServerReport};
pub(crate) use self::state::ServerState;
pub(crate) use self::timelines::Timelines;
