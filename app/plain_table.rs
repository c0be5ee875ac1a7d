//! The look of every printed table: columns without lines.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

/// A table with this header. The columns from index `first_number` on hold numbers: aligned to the
/// right.
#[must_use]
pub fn plain_table<const N: usize>(header: [&str; N], first_number: usize) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index >= first_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The table as text, without spaces at the ends of its lines.
#[must_use]
pub fn trimmed(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}
