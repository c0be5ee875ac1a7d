//! What clients do: which registers they write, which requests they send, and in which order.

mod generator;
mod register;
mod request;

pub use generator::{Generator, Step};
pub use register::{OPERATOR, Register, Version};
pub use request::{CommitKind, Request};

/// How the clients of a run behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// A random mix of requests; now and then a client moves to another region.
    Roaming,
    /// The same mix; each client stays in its region.
    Stationary,
    /// Each client sends several reads and writes at once, the reads from another region, and when
    /// all are answered, reads what it wrote.
    Overlapping,
    /// One client reads what the operator commits, in one region after the other.
    Hopping,
    /// A client reads its register until the replica in its own region serves it; then it writes
    /// and at once reads again. It stays in its region.
    ReadAfterWrite,
}
