//! Plain tables for everything that the app prints.

pub use archipelago_measure::table::{plain_table, trimmed};
