//! Small histories, written by hand.

use std::time::Duration;

use super::{Promise, check};
use crate::Position;
use crate::history::History;
use crate::history::operation::{Action, Operation, Outcome};
use crate::history::timelines::{Promotion, Timelines};
use crate::nemesis::fault::{Fault, Happened};
use crate::observer::{Sample, Stall};
use crate::workload::register::{Row, Version};

/// A row of visitor 1.
pub(crate) const MINE: Row = Row { owner: 1, number: 1 };

/// Two servers, nrt being the primary, and a visitor in ams.
pub(crate) struct Story {
    pub(crate) history: History,
}

impl Story {
    pub(crate) fn new() -> Self {
        let history = History {
            operations: vec![],
            faults: vec![],
            samples: vec![],
            stalls: vec![],
            timelines: Timelines { newest: 1, left_at: vec![], promotions: vec![] },
            first_primary: "nrt".to_owned(),
            regions: vec!["nrt".to_owned(), "ord".to_owned()],
            left: vec![],
            max_lag: Duration::from_secs(2),
        };
        Self { history }
    }

    pub(crate) fn add(&mut self, operation: Operation) {
        self.history.operations.push(operation);
    }

    /// An acknowledged version of [`MINE`].
    pub(crate) fn write(
        &mut self,
        visitor: u32,
        seconds: f64,
        version: Version,
        position: Option<Position>,
    ) {
        let action =
            if version == 1 { Action::Create(MINE) } else { Action::Update(MINE, version) };
        self.add(Operation { position, ..operation(visitor, seconds, action, Outcome::Done) });
    }

    /// A read of [`MINE`] by the replica.
    pub(crate) fn read(
        &mut self,
        visitor: u32,
        seconds: f64,
        version: Version,
        position: Option<Position>,
    ) {
        self.read_by(visitor, seconds, version, "ord; role=replica; reason=local");
        if let Some(read) = self.history.operations.last_mut() {
            read.position = position;
        }
    }

    pub(crate) fn read_by(
        &mut self,
        visitor: u32,
        seconds: f64,
        version: Version,
        served_by: &str,
    ) {
        let read = operation(visitor, seconds, Action::Read(MINE), Outcome::Done);
        self.add(Operation {
            served_by: Some(served_by.to_owned()),
            seen: vec![(MINE, version)],
            ..read
        });
    }

    pub(crate) fn fault(&mut self, fault: Fault, from: f64, until: f64) {
        let [from, until] = [from, until].map(Duration::from_secs_f64);
        self.history.faults.push(Happened { fault, from, until });
    }

    pub(crate) fn sample(&mut self, seconds: f64, region: &str, position: Position) {
        let at = Duration::from_secs_f64(seconds);
        self.history.samples.push(Sample { at, region: region.to_owned(), position });
    }

    pub(crate) fn stall(&mut self, from: f64, until: f64) {
        let [from, until] = [from, until].map(Duration::from_secs_f64);
        self.history.stalls.push(Stall { from, until });
    }

    pub(crate) fn promoted(&mut self, promotion: Promotion, fork: u64) {
        self.history.timelines.left_at.push((promotion.timeline - 1, fork));
        self.history.timelines.newest = promotion.timeline;
        self.history.timelines.promotions.push(promotion);
    }

    pub(crate) fn left(&mut self, row: Row, version: Version) {
        self.history.left.extend((version > 0).then_some((row, version)));
    }

    #[track_caller]
    pub(crate) fn assert_good(&self) {
        let violations = check(&self.history).violations;
        assert!(violations.is_empty(), "{violations:?}");
    }

    /// And nothing else.
    #[track_caller]
    pub(crate) fn assert_breaks(&self, promise: Promise, what: &str) {
        let found: Vec<_> =
            check(&self.history).violations.into_iter().map(|it| (it.promise, it.what)).collect();
        assert_eq!(found, [(promise, what.to_owned())]);
    }
}

/// One that takes a tenth of a second, by a visitor in ams.
pub(crate) fn operation(visitor: u32, seconds: f64, action: Action, outcome: Outcome) -> Operation {
    Operation {
        visitor,
        place: "ams".to_owned(),
        start: Duration::from_secs_f64(seconds - 0.1),
        end: Duration::from_secs_f64(seconds),
        action,
        outcome,
        status: Some(if outcome == Outcome::Done { 200 } else { 503 }),
        served_by: None,
        instance: None,
        position: None,
        id: None,
        seen: vec![],
    }
}

/// At a second, done in no time, with nrt as the old primary.
pub(crate) fn promotion(region: &str, timeline: u32, second: u64) -> Promotion {
    let at = Duration::from_secs(second);
    let (region, before) = (region.to_owned(), "nrt".to_owned());
    Promotion { region, before, timeline, began: at, done: at, settled: at, rejoined: vec![] }
}

pub(crate) fn at(timeline: u32, lsn: u64) -> Position {
    Position { timeline, lsn }
}
