//! What this process knows of the Postgres servers: their reports, what follows from them, and
//! whether a server may answer a read.
//!
//! ```text
//! ServerIdentity, ServerReport   what a server says of itself
//! Leadership                     which server leads, as the last election has found
//! ServerState                    what follows from a report and from the leader's position
//! Requirement                    whether a read may be answered in that state, or is NotFresh
//! HealthRecord                   whether reads are sent to the server at all; Health is its public copy
//! ```
//!
//! The pools and the monitor share it. The decisions are pure; nothing here opens a connection.

mod freshness;
mod health;
mod journal;
mod leadership;
mod log_layout;
mod report;
mod state;

pub use self::freshness::Freshness;
pub(crate) use self::freshness::{NotFresh, Requirement};
pub use self::health::Health;
pub(crate) use self::health::HealthRecord;
pub use self::journal::{Change, Event};
pub(crate) use self::leadership::{LeaderView, Leadership, LeadingServer};
pub(crate) use self::log_layout::LogLayout;
pub(crate) use self::report::{ServerIdentity, ServerReport, own_clock};
pub(crate) use self::state::ServerState;
