//! A chart of latency distributions as SVG: a box plot with one row for each entry.
//!
//! The layout is computed here and drawn by `templates/chart.svg`, which follows the viewer's
//! light or dark colour scheme and describes itself in words for screen readers.

mod axis;

use askama::Template;

use self::axis::{Axis, label};
use crate::outcome::Summary;
use crate::report::Entry;

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Chart<'a> {
    /// The heading.
    pub title: &'a str,
    /// The line below the heading: what was measured and how.
    pub subtitle: &'a str,
    /// The rows, in this order.
    pub entries: &'a [Entry],
}

impl Chart<'_> {
    /// Draws the chart.
    ///
    /// # Errors
    /// When the template cannot be rendered.
    pub fn svg(&self) -> Result<String, askama::Error> {
        Layout::new(self).render()
    }
}

// In user units of the SVG, which are pixels at its natural size.
/// The left end of the axis.
const LEFT: f64 = 224.0;
/// The length of the axis.
const WIDTH: f64 = 408.0;
/// The top of the first row.
const TOP: f64 = 112.0;
/// The height of a row.
const ROW: f64 = 54.0;
/// The space below the last row, for the numbers of the axis and the key.
const BELOW: f64 = 92.0;
/// The least width of a box, so that it stays visible.
const THINNEST: f64 = 3.0;

/// Positions and texts for the template.
#[derive(Clone, Debug, Template)]
#[template(path = "chart.svg")]
struct Layout<'a> {
    title: &'a str,
    subtitle: &'a str,
    description: String,
    unit: &'static str,
    height: f64,
    /// The bottom of the last row.
    bottom: f64,
    ticks: Vec<Tick>,
    rows: Vec<Row<'a>>,
}

#[derive(Clone, Debug)]
struct Tick {
    x: f64,
    label: String,
}

#[derive(Clone, Debug)]
struct Row<'a> {
    entry: &'a Entry,
    /// The vertical middle of the row.
    y: f64,
    median: String,
    p99: String,
    /// `None` when no iteration succeeded.
    shape: Option<Shape>,
}

/// The horizontal positions of the percentiles.
#[derive(Clone, Copy, Debug)]
struct Shape {
    p1: f64,
    p99: f64,
    median: f64,
    box_left: f64,
    box_right: f64,
}

impl<'a> Layout<'a> {
    fn new(chart: &Chart<'a>) -> Self {
        let summaries = || chart.entries.iter().filter_map(|entry| entry.summary);
        let (min, max) = summaries()
            .fold((f64::INFINITY, 0.0_f64), |(min, max), it| (min.min(it.p1), max.max(it.p99)));
        let axis = Axis::new(min.min(max), max);
        // Without figures there is no axis.
        let ticks = if max > 0.0 { axis.ticks.as_slice() } else { &[] };
        let middles = (0_u32..).map(|number| TOP + (f64::from(number) + 0.5) * ROW);
        let rows: Vec<_> =
            chart.entries.iter().zip(middles).map(|(entry, y)| Row::new(entry, y, &axis)).collect();
        let bottom = rows.last().map_or(TOP, |row| row.y + ROW / 2.0);
        Self {
            title: chart.title,
            subtitle: chart.subtitle,
            description: rows.iter().map(Row::in_words).collect::<Vec<_>>().join(" "),
            unit: if axis.is_logarithmic { "milliseconds, logarithmic" } else { "milliseconds" },
            height: bottom + BELOW,
            bottom,
            ticks: ticks
                .iter()
                .map(|tick| Tick { x: x(&axis, *tick), label: label(*tick) })
                .collect(),
            rows,
        }
    }
}

impl<'a> Row<'a> {
    fn new(entry: &'a Entry, y: f64, axis: &Axis) -> Self {
        let time = |milliseconds: f64| {
            let digits = if milliseconds < 10.0 { 2 } else { 1 };
            format!("{milliseconds:.digits$} ms")
        };
        let text = |figure: fn(&Summary) -> f64| {
            entry.summary.as_ref().map_or("–".to_owned(), |summary| time(figure(summary)))
        };
        Self {
            entry,
            y,
            median: text(|summary| summary.median),
            p99: text(|summary| summary.p99),
            shape: entry.summary.map(|summary| Shape::new(&summary, axis)),
        }
    }

    /// The row as a sentence for screen readers.
    fn in_words(&self) -> String {
        let Self { entry: Entry { name, kind, errors, .. }, median, p99, shape, .. } = self;
        match shape {
            Some(_) => format!("{name}, the {kind}: median {median}, 99th percentile {p99}."),
            None => format!("{name}, the {kind}: no answer, {errors} errors."),
        }
    }
}

impl Shape {
    fn new(summary: &Summary, axis: &Axis) -> Self {
        let (left, right) = (x(axis, summary.p25), x(axis, summary.p75));
        let widening = ((THINNEST - (right - left)) / 2.0).max(0.0);
        let (box_left, box_right) = (left - widening, right + widening);
        Self {
            p1: x(axis, summary.p1).min(box_left),
            p99: x(axis, summary.p99).max(box_right),
            median: x(axis, summary.median),
            box_left,
            box_right,
        }
    }
}

fn x(axis: &Axis, milliseconds: f64) -> f64 {
    LEFT + axis.position(milliseconds) * WIDTH
}
