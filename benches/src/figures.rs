//! The figures of one turn, and what is made of them: medians, ratios, a table.

mod table;

use serde_json::{Map, Value};

pub use self::table::{comparison, with_ratios};
use crate::cost::CpuTime;
use crate::wrk::Answers;

/// What a column holds.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in JSON, with the unit.
    pub key: &'static str,
    /// Its name on paper.
    pub heading: &'static str,
    /// Digits behind the point.
    pub digits: usize,
}

/// The columns, in order.
pub const COLUMNS: [Column; 8] = [
    column("requests_per_second", "REQ/S", 0),
    column("p50_ms", "P50 ms", 2),
    column("p99_ms", "P99 ms", 2),
    column("app_cpu_us_per_request", "APP CPU µs", 1),
    column("postgres_cpu_us_per_request", "PG CPU µs", 1),
    column("app_memory_mib", "MEMORY MiB", 1),
    column("connections_to_the_primary", "TO PRIMARY", 0),
    column("connections_to_the_replica", "TO REPLICA", 0),
];

const fn column(key: &'static str, heading: &'static str, digits: usize) -> Column {
    Column { key, heading, digits }
}

/// A number for each of [`COLUMNS`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures(pub [f64; COLUMNS.len()]);

impl Figures {
    /// Of one turn, with the CPU time before and after it.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "no machine has 2^53 bytes, and no server 2^53 connections"
    )]
    pub fn new(
        answers: &Answers,
        [before, after]: [CpuTime; 2],
        memory: u64,
        (primary, replica): (i64, i64),
    ) -> Self {
        let micros =
            |time: std::time::Duration| time.as_secs_f64() * 1e6 / answers.requests.max(1.0);
        Self([
            answers.per_second(),
            answers.p50 / 1000.0,
            answers.p99 / 1000.0,
            micros(after.app.saturating_sub(before.app)),
            micros(after.postgres.saturating_sub(before.postgres)),
            memory as f64 / f64::from(1 << 20),
            primary as f64,
            replica as f64,
        ])
    }

    /// The median of each column; none of nothing.
    #[must_use]
    pub fn median(of: &[Self]) -> Option<Self> {
        (!of.is_empty()).then(|| {
            Self(std::array::from_fn(|column| {
                median(of.iter().map(|figures| figures.0[column]).collect())
            }))
        })
    }

    /// How often `other` goes into this, in each column. Nothing goes into anything not at all: that is no number.
    #[must_use]
    pub fn ratio(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|column| self.0[column] / other.0[column]))
    }

    /// An object with a key for each column.
    #[must_use]
    pub fn json(&self) -> Value {
        let pairs = COLUMNS
            .iter()
            .zip(self.0)
            .map(|(column, number)| (column.key.to_owned(), number.into()));
        Value::Object(pairs.collect::<Map<_, _>>())
    }
}

/// The middle one, or halfway between the two in the middle; no number of nothing.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_median_of_odd_and_even_numbers() {
        assert!((median(vec![9.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![9.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(Figures::median(&[]).is_none());
    }

    #[test]
    fn costs_are_those_of_one_request() {
        let answers = Answers {
            requests: 1000.0,
            seconds: 0.5,
            p50: 1500.0,
            p99: 2500.0,
            max: 9e9,
            refused: 0,
            broken: 0,
        };
        let at = |app, postgres| CpuTime {
            app: Duration::from_millis(app),
            postgres: Duration::from_millis(postgres),
        };
        let figures = Figures::new(&answers, [at(100, 200), at(130, 260)], 3 << 20, (4, 16));
        assert_eq!(figures, Figures([2000.0, 1.5, 2.5, 30.0, 60.0, 3.0, 4.0, 16.0]));
    }
}
