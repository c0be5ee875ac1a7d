//! Whether every promise of Archipelago's reads and writes is kept while the world breaks.
//!
//! Many visitors in every region read and write through the edge, and a schedule of faults runs meanwhile: a [`Plan`](round::Plan).
//! Every request is [written down](operation::Operation). Afterwards a [pure function](check::check) says which
//! [promises](check::Promise) were not kept.
//!
//! What makes that easy to judge: a row has one writer, who writes one version after the other, and none behind a write that may
//! still happen. So of two versions it is known which is newer, and nothing has to be searched.

pub mod check;
pub mod fault;
pub mod history;
pub mod observer;
pub mod operation;
pub mod page;
pub mod perform;
pub mod position;
pub mod report;
pub mod round;
pub mod row;
pub mod schedule;
pub mod stage;
pub mod timelines;
pub mod visitor;

pub use position::Position;

/// What a round or a command ends with where it cannot go on, to be printed.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;
