//! `/regions`: the map, a card for each database, and the last changes.

use askama::Template;

use super::Layout;
use super::map::Map;
use super::region_words::{lag, reads, state};
use super::sparkline::Sparkline;
use crate::overview::{ChangeStatus, RegionStatus, Samples, State};

/// How many changes are shown.
const CHANGES: usize = 12;

/// `/regions`: every database, as this instance sees it.
#[derive(Template)]
#[template(path = "regions.html")]
pub(crate) struct RegionsPage<'a> {
    pub(crate) layout: Layout<'a>,
    pub(crate) part: OverviewPart,
}

/// The part of it that is updated each second.
#[derive(Template)]
#[template(path = "regions_part.html")]
pub(crate) struct OverviewPart {
    map: Map,
    cards: Vec<Card>,
    /// The newest first.
    changes: Vec<ShownChange>,
    /// A warning, where no database takes the writes.
    no_primary: bool,
}

/// A database.
pub(crate) struct Card {
    status: RegionStatus,
    sentence: String,
    lag: Option<String>,
    reads: String,
    /// Reads from elsewhere at the primary now; none for other databases.
    spill: Option<String>,
    sparkline: Sparkline,
}

/// A change, and when.
pub(crate) struct ShownChange {
    time: String,
    date: String,
    sentence: String,
}

impl OverviewPart {
    pub(crate) fn new(
        instance: &str,
        regions: Vec<RegionStatus>,
        samples: &Samples,
        spill: (usize, u32),
        changes: Vec<ChangeStatus>,
    ) -> Self {
        Self {
            map: Map::new(instance, &regions),
            no_primary: !regions.iter().any(|status| status.takes_writes),
            cards: regions.into_iter().map(|status| Card::new(status, samples, spill)).collect(),
            changes: changes.into_iter().rev().take(CHANGES).map(ShownChange::from).collect(),
        }
    }
}

impl Card {
    fn new(status: RegionStatus, samples: &Samples, (spilled, most): (usize, u32)) -> Self {
        let curve = if status.is_replica() { "Lag" } else { "Round trip" };
        Self {
            sentence: state(&status),
            lag: lag(&status),
            reads: reads(status.reads),
            spill: status.leads.then(|| format!("{spilled} of at most {most}")),
            sparkline: Sparkline::new(curve, samples.of(status.region)),
            status,
        }
    }
}

impl From<ChangeStatus> for ShownChange {
    fn from(change: ChangeStatus) -> Self {
        let date = humantime::format_rfc3339_seconds(change.at).to_string();
        let time = date.get(11..19).unwrap_or_default().to_owned();
        Self { time, date, sentence: change.sentence }
    }
}

impl State {
    /// For a name that a screen reader says: it changes only with the state.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Good => "up",
            Self::Behind => "too far behind",
            Self::Down => "down",
            Self::Unknown => "not asked yet",
        }
    }

    /// The class of its colour and shape.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Behind => "behind",
            Self::Down => "bad",
            Self::Unknown => "unknown",
        }
    }
}
