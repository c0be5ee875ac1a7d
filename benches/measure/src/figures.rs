//! Figures with columns of the caller's choice: medians of several rounds, ratios, a table, JSON.

use serde_json::{Map, Value};

use crate::table::{plain_table, trimmed};

/// What a column holds.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in JSON, with the unit.
    pub key: &'static str,
    /// Its heading in a table.
    pub heading: &'static str,
    /// Digits after the decimal point.
    pub digits: usize,
}

impl Column {
    /// A column.
    #[must_use]
    pub const fn new(key: &'static str, heading: &'static str, digits: usize) -> Self {
        Self { key, heading, digits }
    }
}

/// One number for each column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures<const N: usize>(pub [f64; N]);

impl<const N: usize> Figures<N> {
    /// The median of each column; `None` without rounds.
    #[must_use]
    pub fn median(rounds: &[Self]) -> Option<Self> {
        (!rounds.is_empty()).then(|| {
            Self(std::array::from_fn(|column| {
                median(rounds.iter().map(|figures| figures.0[column]).collect())
            }))
        })
    }

    /// Each figure divided by the same figure of `other`. 0 / 0 is not a number.
    #[must_use]
    pub fn ratio(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|column| self.0[column] / other.0[column]))
    }

    /// An object with a key for each column.
    #[must_use]
    pub fn json(&self, columns: &[Column; N]) -> Value {
        let pairs = columns.iter().zip(self.0);
        Value::Object(
            pairs
                .map(|(column, number)| (column.key.to_owned(), number.into()))
                .collect::<Map<_, _>>(),
        )
    }
}

/// The middle number, or the mean of the two middle ones; NaN without numbers.
#[must_use]
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.is_empty() {
        return f64::NAN;
    }
    if numbers.len() % 2 == 1 {
        numbers[middle]
    } else {
        f64::midpoint(numbers[middle - 1], numbers[middle])
    }
}

/// A table of figures: columns of labels, then a column for each figure.
pub struct FigureTable<'a, const N: usize> {
    columns: &'a [Column; N],
    table: comfy_table::Table,
}

impl<'a, const N: usize> FigureTable<'a, N> {
    /// A table without rows. The columns from `first_number` on are aligned to the right: all
    /// figures, and the labels before them that are numbers.
    #[must_use]
    pub fn new(labels: &[&str], first_number: usize, columns: &'a [Column; N]) -> Self {
        let headings = columns.iter().map(|column| column.heading);
        let header = labels.iter().copied().chain(headings);
        Self { columns, table: plain_table(header, first_number) }
    }

    /// Adds a row, each figure with the digits of its column.
    pub fn add(&mut self, labels: impl IntoIterator<Item = String>, figures: &Figures<N>) {
        let numbers = self
            .columns
            .iter()
            .zip(figures.0)
            .map(|(column, number)| format!("{number:.*}", column.digits));
        self.table.add_row(labels.into_iter().chain(numbers));
    }

    /// Adds a row of ratios, all with the same number of digits.
    pub fn add_ratio(&mut self, label: String, ratio: &Figures<N>, digits: usize) {
        let numbers = ratio.0.map(|ratio| {
            if ratio.is_finite() { format!("{ratio:.digits$}") } else { "-".to_owned() }
        });
        self.table.add_row(std::iter::once(label).chain(numbers));
    }

    /// The table as text.
    #[must_use]
    pub fn text(&self) -> String {
        trimmed(&self.table)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    const COLUMNS: [Column; 2] =
        [Column::new("per_second", "REQ/S", 0), Column::new("p50_ms", "P50 ms", 2)];

    #[test]
    fn the_median_of_odd_and_even_numbers() {
        assert!((median(vec![9.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![9.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(Figures::<2>::median(&[]).is_none());
    }

    #[test]
    fn rows_ratios_and_json() {
        let (one, other) = (Figures([47_400.4, 1.284]), Figures([25_900.0, 0.0]));
        let mut table = FigureTable::new(&[""], 1, &COLUMNS);
        table.add(["raw".to_owned()], &one);
        table.add(["hand-written".to_owned()], &other);
        table.add_ratio("raw / hand-written".to_owned(), &one.ratio(&other), 2);
        expect![[r#"
                                REQ/S  P50 ms
            raw                 47400    1.28
            hand-written        25900    0.00
            raw / hand-written   1.83       -
        "#]]
        .assert_eq(&table.text());
        expect![[r#"{"p50_ms":1.284,"per_second":47400.4}"#]]
            .assert_eq(&one.json(&COLUMNS).to_string());
    }
}
