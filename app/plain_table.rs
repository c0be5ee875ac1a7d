//! The look of every table that is printed: columns, and no lines.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

/// A table with the words of its first line. The columns from `numbers` on hold numbers, and stand to the right.
#[must_use]
pub fn plain_table<const N: usize>(header: [&str; N], numbers: usize) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if place >= numbers {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The lines of a table, each with its end, and without spaces before it.
#[must_use]
pub fn trimmed(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}
