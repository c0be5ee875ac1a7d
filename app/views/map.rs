//! The map of `/regions`: where its markers and lines are, in degrees east and south, so that the outline
//! of the land, the markers and the lines need no projection.

use crate::overview::{RegionStatus, State, coordinates};

/// Markers nearer than this would hide each other's names.
const CROWDED: Point = Point { x: 24.0, y: 5.0 };

/// Between the servers of one region.
const BESIDE: f64 = 5.0;

/// How far a line bends away from a straight one, as a share of its length.
const BEND: f64 = 0.15;

/// A point on the map.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Point {
    /// Degrees east of Greenwich.
    pub(crate) x: f64,
    /// Degrees south of the equator.
    pub(crate) y: f64,
}

/// The map.
pub(crate) struct Map {
    pub(crate) lines: Vec<Line>,
    pub(crate) markers: Vec<Marker>,
    /// Where this instance is.
    pub(crate) here: Option<Point>,
}

/// A database.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Marker {
    pub(crate) region: &'static str,
    /// What a screen reader says.
    pub(crate) name: String,
    pub(crate) at: Point,
    /// Whether its name is on the left, as another marker is on the right.
    pub(crate) is_named_on_the_left: bool,
    /// Whether it takes the writes.
    pub(crate) leads: bool,
    pub(crate) state: State,
}

/// The way from this instance to a database.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) region: &'static str,
    /// Its curve; a second one where it leaves the map on one side and comes in on the other.
    pub(crate) curves: Vec<Curve>,
    /// The round trip, and where it is written.
    pub(crate) round_trip: Option<String>,
    pub(crate) label: Point,
    pub(crate) serves_reads: bool,
    pub(crate) takes_writes: bool,
    pub(crate) state: State,
}

/// A curve from one end, towards a point beside the middle, to the other end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Curve {
    pub(crate) from: Point,
    pub(crate) towards: Point,
    pub(crate) to: Point,
}

impl Map {
    pub(super) fn new(instance: &str, regions: &[RegionStatus]) -> Self {
        let here = coordinates(instance).map(|it| Point { x: it.longitude, y: -it.latitude });
        let places = places(regions);
        let markers = places.iter().map(|(status, at)| Marker::new(status, *at, &places));
        let lines = here.iter().flat_map(|here| {
            places.iter().filter_map(|(status, at)| Line::new(status, *here, *at))
        });
        Self { lines: lines.collect(), markers: markers.collect(), here }
    }
}

/// The regions whose places are known. Further servers of a region are beside the first.
fn places(regions: &[RegionStatus]) -> Vec<(&RegionStatus, Point)> {
    let mut places: Vec<(&RegionStatus, Point)> = Vec::new();
    for status in regions {
        let (Some(x), Some(north)) = (status.longitude, status.latitude) else { continue };
        let mut at = Point { x, y: -north };
        while places.iter().any(|(_, other)| *other == at) {
            at.y += BESIDE;
        }
        places.push((status, at));
    }
    places
}

impl Marker {
    fn new(status: &RegionStatus, at: Point, places: &[(&RegionStatus, Point)]) -> Self {
        let is_on_the_right = |other: &Point| {
            let (right, down) = (other.x - at.x, other.y - at.y);
            *other != at && (0.0..CROWDED.x).contains(&right) && down.abs() < CROWDED.y
        };
        let place = status.place.map(|place| format!(", {place}")).unwrap_or_default();
        Self {
            region: status.region,
            name: format!("{}{place}: {}, {}", status.region, status.role, status.state().word()),
            at,
            is_named_on_the_left: places.iter().any(|(_, other)| is_on_the_right(other)),
            leads: status.leads,
            state: status.state(),
        }
    }
}

impl Line {
    /// None where both are in one place.
    fn new(status: &RegionStatus, here: Point, there: Point) -> Option<Self> {
        if (here.x - there.x).hypot(here.y - there.y) < 1.0 {
            return None;
        }
        // On a short line the markers would hide it; the card has it as well.
        let has_room = (there.x - here.x).hypot(there.y - here.y) > CROWDED.x;
        let round_trip = status.round_trip_ms.filter(|_| has_room && status.up == Some(true));
        let curves = curves(here, there);
        Some(Self {
            region: status.region,
            label: curves[0].middle(),
            curves,
            round_trip: round_trip.map(|milliseconds| format!("{milliseconds:.0} ms")),
            serves_reads: status.first_for_reads,
            takes_writes: status.leads,
            state: status.state(),
        })
    }
}

/// The shorter way around the earth. Across the edge of the map it is drawn at both sides of it.
fn curves(from: Point, to: Point) -> Vec<Curve> {
    let east = to.x - from.x;
    if east.abs() <= 180.0 {
        return vec![curve(from, to)];
    }
    let around = -360.0_f64.copysign(east);
    let (beyond, before) = (Point { x: to.x + around, ..to }, Point { x: from.x - around, ..from });
    vec![curve(from, beyond), curve(before, to)]
}

/// Bends towards the nearer pole, as the ways of ships and cables do on a flat map.
fn curve(from: Point, to: Point) -> Curve {
    let middle = Point { x: f64::midpoint(from.x, to.x), y: f64::midpoint(from.y, to.y) };
    let length = (to.x - from.x).hypot(to.y - from.y);
    let pole = if middle.y < 10.0 { -1.0 } else { 1.0 };
    Curve { from, towards: Point { y: middle.y + pole * BEND * 2.0 * length, ..middle }, to }
}

impl Curve {
    /// The middle of a quadratic Bézier curve.
    fn middle(&self) -> Point {
        let Self { from, towards, to } = self;
        let middle = |from: f64, towards: f64, to: f64| 0.25 * from + 0.5 * towards + 0.25 * to;
        Point { x: middle(from.x, towards.x, to.x), y: middle(from.y, towards.y, to.y) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_across_the_pacific_leaves_the_map_and_comes_back() {
        let (los_angeles, tokyo) = (Point { x: -118.0, y: -34.0 }, Point { x: 140.0, y: -36.0 });
        let ends: Vec<_> =
            curves(los_angeles, tokyo).iter().map(|curve| (curve.from.x, curve.to.x)).collect();
        assert_eq!(ends, [(-118.0, -220.0), (242.0, 140.0)]);
        let ends: Vec<_> =
            curves(tokyo, los_angeles).iter().map(|curve| (curve.from.x, curve.to.x)).collect();
        assert_eq!(ends, [(140.0, 242.0), (-220.0, -118.0)]);
        assert_eq!(curves(los_angeles, Point { x: 0.0, y: -51.0 }).len(), 1);
    }

    #[test]
    fn a_curve_passes_its_middle_on_the_way_north() {
        let curve = curve(Point { x: -100.0, y: -40.0 }, Point { x: 0.0, y: -40.0 });
        assert_eq!(curve.middle(), Point { x: -50.0, y: -55.0 });
    }
}
