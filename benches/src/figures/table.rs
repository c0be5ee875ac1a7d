//! Figures as they are printed: a row for each contender, and rows that compare.

use archipelago_app::plain_table::{plain_table, trimmed};

use super::{COLUMNS, Figures};

/// A row for each of `rows`; below them, for each of `pairs`, the ratio of the first of the two rows to the second.
#[must_use]
pub fn comparison(
    rows: &[(String, Figures)],
    pairs: impl IntoIterator<Item = (usize, usize)>,
) -> String {
    let ratios = pairs.into_iter().map(|(one, other)| {
        let ((one, figures), (other, yardstick)) = (&rows[one], &rows[other]);
        (format!("{one} / {other}"), figures.ratio(yardstick))
    });
    with_ratios(rows.iter().cloned(), ratios, 2)
}

/// A row for each of `rows`, and below them a row for each of `ratios`, with so many digits behind the point.
#[must_use]
pub fn with_ratios(
    rows: impl IntoIterator<Item = (String, Figures)>,
    ratios: impl IntoIterator<Item = (String, Figures)>,
    digits: usize,
) -> String {
    let mut header = [""; COLUMNS.len() + 1];
    header[1..].copy_from_slice(&COLUMNS.map(|column| column.heading));
    let mut table = plain_table(header, 1);
    for (name, figures) in rows {
        let numbers = COLUMNS
            .iter()
            .zip(figures.0)
            .map(|(column, number)| format!("{number:.*}", column.digits));
        table.add_row(std::iter::once(name).chain(numbers));
    }
    for (name, ratio) in ratios {
        let numbers = ratio.0.map(|ratio| {
            if ratio.is_finite() { format!("{ratio:.digits$}") } else { "-".to_owned() }
        });
        table.add_row(std::iter::once(name).chain(numbers));
    }
    trimmed(&table)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn rows_and_ratios() {
        let rows = [
            (
                "hand-written".to_owned(),
                Figures([25_900.4, 2.31, 9.871, 27.2, 24.5, 12.0, 0.0, 16.0]),
            ),
            ("raw".to_owned(), Figures([47_400.0, 1.28, 10.0, 17.7, 9.7, 11.2, 2.0, 2.0])),
        ];
        expect![[r#"
                                REQ/S  P50 ms  P99 ms  APP CPU µs  PG CPU µs  MEMORY MiB  TO PRIMARY  TO REPLICA
            hand-written        25900    2.31    9.87        27.2       24.5        12.0           0          16
            raw                 47400    1.28   10.00        17.7        9.7        11.2           2           2
            raw / hand-written   1.83    0.55    1.01        0.65       0.40        0.93           -        0.12
        "#]]
        .assert_eq(&comparison(&rows, [(1, 0)]));
    }
}
