//! Repeats an asynchronous operation, records how long each iteration takes, and reports it.
//!
//! [`Plan::measure`] repeats the operation, back to back or at a rate, and returns an [`Outcome`]
//! with its latencies. An [`Entry`] is the outcome of one of several subjects that are compared:
//! [`report::text`] prints a table of them, [`Entry::figures`] is their JSON, and a [`Chart`]
//! draws them. [`Figures`] are for measurements with columns of their own, repeated in rounds.
//!
//! The operation is any async function: this crate knows no query and no database.

mod chart;
mod figures;
pub mod files;
mod outcome;
mod pace;
mod plan;
mod progress;
pub mod report;
pub mod table;

pub use self::chart::Chart;
pub use self::figures::{Column, FigureTable, Figures, median};
pub use self::outcome::{CreationError, Outcome, Summary, milliseconds};
pub use self::plan::Plan;
pub use self::progress::Progress;
pub use self::report::{Entry, EntryFigures};
