//! Where the values of a file stand, to tell what a syntax error touches.

use super::Error;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

#[derive(Default)]
pub(super) struct Values {
    scalars: Vec<Range<usize>>,
    nests: Vec<Range<usize>>,
}

impl Values {
    pub fn of(table: &DeTable<'_>) -> Self {
        let mut values = Self::default();
        values.collect(table);
        values
    }

    /// The value on one line that an error is about, if it is about no more than that.
    pub fn around(&self, source: &str, error: &Range<usize>) -> Option<Range<usize>> {
        let on_one_line = |value: &&Range<usize>| {
            source.get((*value).clone()).is_some_and(|text| !text.contains('\n'))
        };
        let holds = |value: &&Range<usize>| value.start <= error.start && error.end <= value.end;
        self.scalars.iter().filter(holds).find(on_one_line).cloned()
    }

    /// The first array or inline table without its end.
    pub fn unclosed(&self, errors: &[Error]) -> Option<Range<usize>> {
        let is_unclosed = |(_, message): &&Error| {
            message.starts_with("unclosed array,") || message.starts_with("unclosed inline table")
        };
        let (end, _) = errors.iter().find(is_unclosed)?;
        self.nests
            .iter()
            .filter(|nest| nest.start <= end.start && end.start <= nest.end)
            .min_by_key(|nest| nest.start)
            .cloned()
    }

    fn collect(&mut self, table: &DeTable<'_>) {
        for value in table.values() {
            self.collect_value(value.get_ref(), value.span());
        }
    }

    fn collect_value(&mut self, value: &DeValue<'_>, span: Range<usize>) {
        match value {
            DeValue::Table(table) => {
                self.nests.push(span);
                self.collect(table);
            }
            DeValue::Array(elements) => {
                self.nests.push(span);
                for element in elements {
                    self.collect_value(element.get_ref(), element.span());
                }
            }
            _ => self.scalars.push(span),
        }
    }
}
