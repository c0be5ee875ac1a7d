//! The distributions as a picture, light or dark as its beholder has it. Laid out here, drawn by `templates/bench.svg`.

use archipelago::Role;
use askama::Template;
use humantime::format_duration;

use super::axis::{Axis, label};
use super::report::{Figures, Report, Row};

/// Draws the report.
pub(super) fn of(report: &Report) -> Result<String, askama::Error> {
    Picture::new(report).render()
}

// The units are those of the picture's own coordinates; at its natural size they are pixels.
const LEFT: f64 = 224.0;
const WIDTH: f64 = 408.0;
const TOP: f64 = 112.0;
const ROW: f64 = 54.0;
const BELOW: f64 = 92.0;
/// A box is never too thin to be seen.
const THIN: f64 = 3.0;

#[derive(Clone, Debug, Template)]
#[template(path = "bench.svg")]
struct Picture {
    title: String,
    subtitle: String,
    description: String,
    axis: &'static str,
    height: f64,
    /// Of the axis.
    bottom: f64,
    ticks: Vec<Tick>,
    rows: Vec<Drawn>,
}

#[derive(Clone, Debug)]
struct Tick {
    x: f64,
    label: String,
}

/// A row, where it is drawn.
#[derive(Clone, Debug)]
struct Drawn {
    /// Its middle.
    y: f64,
    region: &'static str,
    place: &'static str,
    role: Role,
    median: String,
    p99: String,
    /// None where every iteration failed.
    shape: Option<Shape>,
    errors: u64,
}

/// Where the percentiles are.
#[derive(Clone, Copy, Debug)]
struct Shape {
    p1: f64,
    p99: f64,
    median: f64,
    box_left: f64,
    box_right: f64,
}

impl Picture {
    fn new(report: &Report) -> Self {
        let figures = || report.rows.iter().filter_map(|row| row.figures);
        let (min, max) = figures()
            .fold((f64::INFINITY, 0.0_f64), |(min, max), it| (min.min(it.p1), max.max(it.p99)));
        // With nothing to show there is nothing to measure it by.
        let axis = Axis::new(min.min(max), max);
        let ticks = if max > 0.0 { axis.ticks.as_slice() } else { &[] };
        let middles = (0_u32..).map(|number| TOP + (f64::from(number) + 0.5) * ROW);
        let rows: Vec<_> =
            report.rows.iter().zip(middles).map(|(row, y)| Drawn::new(row, y, &axis)).collect();
        let bottom = rows.last().map_or(TOP, |row| row.y + ROW / 2.0);
        Self {
            title: match &report.from {
                Some(from) => format!("Latency of each region, seen from {from}"),
                None => "Latency of each region, seen from this machine".to_owned(),
            },
            subtitle: format!(
                "{}: {} · {} · {} each",
                report.query.name(),
                report.query.meaning(),
                report.pace(),
                format_duration(report.plan.time)
            ),
            description: rows.iter().map(Drawn::in_words).collect::<Vec<_>>().join(" "),
            axis: if axis.is_logarithmic { "milliseconds, logarithmic" } else { "milliseconds" },
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

impl Drawn {
    fn new(row: &Row, y: f64, axis: &Axis) -> Self {
        let time = |milliseconds: f64| {
            let digits = if milliseconds < 10.0 { 2 } else { 1 };
            format!("{milliseconds:.digits$} ms")
        };
        let text = |figure: fn(&Figures) -> f64| {
            row.figures.as_ref().map_or("–".to_owned(), |figures| time(figure(figures)))
        };
        Self {
            y,
            region: row.region,
            place: row.place.unwrap_or_default(),
            role: row.role,
            median: text(|figures| figures.median),
            p99: text(|figures| figures.p99),
            shape: row.figures.map(|figures| Shape::new(&figures, axis)),
            errors: row.errors,
        }
    }

    fn in_words(&self) -> String {
        let Self { region, role, median, p99, shape, errors, .. } = self;
        match shape {
            Some(_) => format!("{region}, the {role}: median {median}, 99th percentile {p99}."),
            None => format!("{region}, the {role}: no answer, {errors} errors."),
        }
    }
}

impl Shape {
    fn new(figures: &Figures, axis: &Axis) -> Self {
        let (left, right) = (x(axis, figures.p25), x(axis, figures.p75));
        let thinner = ((THIN - (right - left)) / 2.0).max(0.0);
        let (box_left, box_right) = (left - thinner, right + thinner);
        Self {
            p1: x(axis, figures.p1).min(box_left),
            p99: x(axis, figures.p99).max(box_right),
            median: x(axis, figures.median),
            box_left,
            box_right,
        }
    }
}

fn x(axis: &Axis, milliseconds: f64) -> f64 {
    LEFT + axis.place(milliseconds) * WIDTH
}
