//! A Jepsen-style consistency checker for Archipelago's reads and writes.
//!
//! ```text
//! seed ──> schedule ──> nemesis ──┐
//!   └────> generators ─> clients ─┴─> history ──> check ──> report
//! ```
//!
//! [Clients](client::Client) in every region send requests through the edge proxy, and an
//! [operator](operator::Operator) commits on the primary, while the
//! [nemesis](nemesis::Nemesis) injects faults into a [deployment](deployment::Deployment). A
//! [run](run::RunPlan) records every request in a [history](history::History). Afterwards
//! [`check`](check::check), a pure function, reports each broken promise as a
//! [violation](check::Violation).
//!
//! The data model keeps the check cheap. Each [register](workload::Register) has one writer, which
//! writes ascending versions and stops after a write whose outcome it does not know. So the order
//! of two versions is always known, and the check never searches for one.

pub mod check;
pub mod client;
pub mod deployment;
pub mod history;
pub mod nemesis;
pub mod observer;
pub mod operator;
pub mod report;
pub mod run;
pub mod workload;

/// An error that ends a run or the command; it is printed and never matched on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
