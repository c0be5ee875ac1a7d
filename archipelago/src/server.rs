//! What this process knows of the Postgres servers: their reports, what follows from them, and
//! whether a server may answer a read.
//!
//! ```text
//! ServerIdentity, ServerReport   what a server says of itself
//! ServerState                    what follows from a report and from the Timelines
//! Requirement                    whether a read may be answered in that state, or is NotFresh
//! HealthRecord                   whether reads are sent to the server at all; Health is its public copy
//! ```
//!
//! The pools and the monitor share it. The decisions are pure; nothing here opens a connection.

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
