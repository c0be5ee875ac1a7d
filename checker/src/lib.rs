//! Whether every promise of Archipelago's reads and writes is kept while the world breaks.
//!
//! Many visitors in every region read and write through the edge, and a schedule of faults runs meanwhile: a [`Plan`](run::Plan).
//! Every request is [written down](history::operation::Operation). Afterwards a [pure function](check::check) says which
//! [promises](check::Promise) were not kept.
//!
//! What makes that easy to judge: a row has one writer, who writes one version after the other, and none behind a write that may
//! still happen. So of two versions it is known which is newer, and nothing has to be searched.

pub mod check;
pub mod client;
pub mod deployment;
pub mod history;
pub mod nemesis;
pub mod observer;
pub mod report;
pub mod run;
pub mod workload {
    //! What clients write.
    pub mod register;
}

pub use history::position::Position;

/// What a round or a command ends with where it cannot go on, to be printed.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;
