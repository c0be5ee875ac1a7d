//! The report of known outcomes, among them those of the article that this benchmark comes from.

use std::time::Duration;

use archipelago::Role;
use archipelago_measure::{Entry, Outcome, Plan, Summary};
use expect_test::{Expect, expect, expect_file};

use super::queries::Query;
use super::report::Report;

const PLAN: Plan =
    Plan { warm_up: Duration::from_secs(2), time: Duration::from_secs(5), parallel: 1, rate: None };

/// A region without figures.
fn row(region: &str, place: &str, role: Role) -> Entry {
    Entry {
        detail: place.to_owned(),
        is_accented: role == Role::Primary,
        rows: Some(51),
        ..Entry::new(region, role.as_str(), &Outcome::new().unwrap())
    }
}

/// The figures of the article, and percentiles that are not in it.
fn measured(
    row: Entry,
    average: f64,
    deviation: f64,
    [p1, p25, median, p75, p99]: [f64; 5],
) -> Entry {
    let per_second = 1000.0 / average;
    let summary = Summary { per_second, average, deviation, p1, p25, median, p75, p99 };
    Entry { summary: Some(summary), ..row }
}

fn report(from: &str, entries: Vec<Entry>) -> Report {
    let mut report = Report::new(from, Query::Index, PLAN);
    report.set_entries(entries);
    report
}

fn article() -> Report {
    report(
        "nrt",
        vec![
            measured(
                row("ams", "Amsterdam, Netherlands", Role::Replica),
                280.98,
                37.61,
                [214.0, 217.1, 219.86, 401.3, 440.07],
            ),
            measured(
                row("atl", "Atlanta, Georgia (US)", Role::Replica),
                194.94,
                29.93,
                [160.2, 164.0, 168.88, 190.5, 339.0],
            ),
            measured(
                row("nrt", "Tokyo, Japan", Role::Primary),
                1.72,
                22.85,
                [1.31, 1.5, 1.61, 1.83, 3.23],
            ),
            measured(
                row("ord", "Chicago, Illinois (US)", Role::Replica),
                138.27,
                24.55,
                [124.0, 126.2, 127.82, 131.9, 256.94],
            ),
            measured(
                row("syd", "Sydney, Australia", Role::Replica),
                154.09,
                27.82,
                [133.3, 135.8, 137.27, 142.2, 277.29],
            ),
        ],
    )
}

/// One region never answers, one sometimes fails, one is too slow for the rate.
fn troubled() -> Report {
    let never = Entry {
        rows: None,
        errors: 50,
        last_error: Some(
            "the database of region `ord` cannot be reached: Connection refused".to_owned(),
        ),
        ..row("ord", "Chicago <&> \"Illinois\"", Role::Replica)
    };
    let at_times = Entry {
        errors: 3,
        last_error: Some("terminating connection".to_owned()),
        ..measured(row("nrt", "Tokyo", Role::Primary), 0.214, 12.5, [0.18, 0.2, 0.211, 0.22, 0.31])
    };
    let slow = Entry {
        never_begun: 120,
        ..measured(row("ams", "Amsterdam", Role::Replica), 1.4, 5.0, [1.1, 1.3, 1.4, 1.5, 1.7])
    };
    let mut report = report("", vec![never, slow, at_times]);
    report.plan = Plan { parallel: 4, rate: Some(100), ..PLAN };
    report
}

#[track_caller]
fn assert_prints(report: &Report, expected: &Expect) {
    expected.assert_eq(&report.text());
}

#[test]
fn the_table_of_the_article() {
    assert_prints(
        &article(),
        &expect![[r#"
        REGION  ROLE        IPS    AVERAGE  DEVIATION     MEDIAN     99TH %  ROWS  ERRORS
        nrt     primary  581.40    1.72 ms   ±22.85 %    1.61 ms    3.23 ms    51       0
        ord     replica    7.23  138.27 ms   ±24.55 %  127.82 ms  256.94 ms    51       0
        syd     replica    6.49  154.09 ms   ±27.82 %  137.27 ms  277.29 ms    51       0
        atl     replica    5.13  194.94 ms   ±29.93 %  168.88 ms  339.00 ms    51       0
        ams     replica    3.56  280.98 ms   ±37.61 %  219.86 ms  440.07 ms    51       0

        COMPARISON     IPS
        nrt         581.40
        ord           7.23   80.39x slower  +136.55 ms
        syd           6.49   89.59x slower  +152.37 ms
        atl           5.13  113.34x slower  +193.22 ms
        ams           3.56  163.36x slower  +279.26 ms
    "#]],
    );
}

#[test]
fn the_table_of_trouble() {
    assert_prints(
        &troubled(),
        &expect![[r#"
            REGION  ROLE         IPS   AVERAGE  DEVIATION    MEDIAN    99TH %  ROWS  ERRORS
            nrt     primary  4672.90  0.214 ms   ±12.50 %  0.211 ms  0.310 ms    51       3
            ams     replica   714.29  1.400 ms    ±5.00 %  1.400 ms  1.700 ms    51       0
            ord     replica        -         -          -         -         -     -      50

            COMPARISON      IPS
            nrt         4672.90
            ams          714.29  6.54x slower  +1.186 ms

            nrt: 3 iterations failed; the last error: terminating connection
            ams: 120 iterations were due but never began, because every loop was busy; the time that they waited counts as their latency. With more loops or a lower rate all would begin.
            ord: 50 iterations failed; the last error: the database of region `ord` cannot be reached: Connection refused
        "#]],
    );
}

#[test]
fn the_json_of_trouble() {
    expect![[r#"
        {
          "from": null,
          "regions": [
            {
              "region": "nrt",
              "role": "primary",
              "ips": 4672.897,
              "average_ms": 0.214,
              "deviation_pct": 12.5,
              "median_ms": 0.211,
              "p99_ms": 0.31,
              "rows": 51,
              "errors": 3
            },
            {
              "region": "ams",
              "role": "replica",
              "ips": 714.286,
              "average_ms": 1.4,
              "deviation_pct": 5.0,
              "median_ms": 1.4,
              "p99_ms": 1.7,
              "rows": 51,
              "errors": 0
            },
            {
              "region": "ord",
              "role": "replica",
              "ips": null,
              "average_ms": null,
              "deviation_pct": null,
              "median_ms": null,
              "p99_ms": null,
              "rows": null,
              "errors": 50
            }
          ]
        }
    "#]]
    .assert_eq(&troubled().json().unwrap());
}

#[test]
fn the_chart_of_the_article() {
    expect_file!["chart.svg"].assert_eq(&article().svg().unwrap());
}

/// The texts and descriptions in the chart, with entities resolved.
fn texts(report: &Report) -> Vec<String> {
    let chart = report.svg().unwrap();
    let document = roxmltree::Document::parse(&chart).unwrap();
    let texts = document
        .descendants()
        .filter(|node| node.has_tag_name("text") || node.has_tag_name("desc"));
    texts
        .map(|node| {
            node.descendants().filter_map(|node| node.text().filter(|_| node.is_text())).collect()
        })
        .collect()
}

#[test]
fn the_chart_of_trouble_is_valid_xml() {
    let texts = texts(&troubled());
    for text in ["Chicago <&> \"Illinois\"", "no answer: 50 errors", "0.21 ms", "–", "milliseconds"]
    {
        assert!(texts.iter().any(|found| found == text), "{text:?} is not in {texts:?}");
    }
    assert!(texts[0].contains("ord, the replica: no answer, 50 errors."), "{texts:?}");
}

#[test]
fn a_chart_without_figures_has_no_axis() {
    let row = Entry { errors: 9, ..row("ord", "Chicago", Role::Replica) };
    let texts = texts(&report("nrt", vec![row]));
    assert!(!texts.iter().any(|text| text.starts_with("milliseconds")), "{texts:?}");
}
