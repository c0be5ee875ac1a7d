//! Small histories for the tests of the check.

use std::time::Duration;

use super::{Anomaly, check};
use crate::history::{History, Operation, Outcome, Path, Position, ReplaySample, Stall, Timelines};
use crate::nemesis::{AppliedFault, Fault, Promotion, Reset};
use crate::workload::{Register, Request, Version};

/// The system identifier of the servers.
const SYSTEM: u64 = 7;

/// The register of client 1 that most tests use.
pub(super) const REGISTER: Register = Register { owner: 1, number: 1 };

/// A history on two servers, the primary in nrt and a replica in ord. Its clients are in ams.
#[derive(Clone)]
pub(super) struct HistoryBuilder {
    pub(super) history: History,
}

impl HistoryBuilder {
    pub(super) fn new() -> Self {
        let history = History {
            operations: vec![],
            faults: vec![],
            resets: vec![],
            samples: vec![],
            stalls: vec![],
            timelines: Timelines {
                last: Path { system: SYSTEM, newest: 1, forks: vec![] },
                ..Timelines::default()
            },
            initial_primary: "nrt".to_owned(),
            regions: vec!["nrt".to_owned(), "ord".to_owned()],
            final_state: vec![],
            max_lag: Duration::from_secs(2),
        };
        Self { history }
    }

    pub(super) fn add(&mut self, operation: Operation) {
        self.history.operations.push(operation);
    }

    /// An acknowledged write of [`REGISTER`].
    pub(super) fn write(
        &mut self,
        client: u32,
        seconds: f64,
        version: Version,
        position: Option<Position>,
    ) {
        let request = if version == 1 {
            Request::Create(REGISTER)
        } else {
            Request::Update(REGISTER, version)
        };
        self.add(Operation { position, ..operation(client, seconds, request, Outcome::Ok) });
    }

    /// A read of [`REGISTER`] from the replica.
    pub(super) fn read(
        &mut self,
        client: u32,
        seconds: f64,
        version: Version,
        position: Option<Position>,
    ) {
        self.read_from(client, seconds, version, "ord; role=replica; reason=local");
        if let Some(read) = self.history.operations.last_mut() {
            read.position = position;
        }
    }

    /// A read of [`REGISTER`] with this header `x-served-by`.
    pub(super) fn read_from(
        &mut self,
        client: u32,
        seconds: f64,
        version: Version,
        served_by: &str,
    ) {
        let read = operation(client, seconds, Request::Read(REGISTER), Outcome::Ok);
        self.add(Operation {
            served_by: Some(served_by.to_owned()),
            observed: vec![(REGISTER, version)],
            ..read
        });
    }

    pub(super) fn fault(&mut self, fault: Fault, from: f64, until: f64) {
        let [from, until] = [from, until].map(Duration::from_secs_f64);
        self.history.faults.push(AppliedFault { fault, from, until });
    }

    pub(super) fn sample(&mut self, seconds: f64, region: &str, position: Position) {
        let at = Duration::from_secs_f64(seconds);
        self.history.samples.push(ReplaySample { at, region: region.to_owned(), position });
    }

    pub(super) fn stall(&mut self, from: f64, until: f64) {
        let [from, until] = [from, until].map(Duration::from_secs_f64);
        self.history.stalls.push(Stall { from, until });
    }

    /// A promotion whose timeline forks off at this LSN.
    pub(super) fn promoted(&mut self, promotion: Promotion, fork: u64) {
        self.history.timelines.last.forks.push((promotion.timeline - 1, fork));
        self.history.timelines.last.newest = promotion.timeline;
        self.history.timelines.promotions.push(promotion);
    }

    /// The primary goes back, at this second, to a copy that was made in the second before.
    pub(super) fn put_back(&mut self, seconds: f64) {
        let at = Duration::from_secs_f64;
        let [copied, began, done] = [at(seconds - 1.0), at(seconds), at(seconds)];
        self.history.resets.push(Reset { copied, copied_until: copied, began, done });
    }

    /// The version of the register's row at the end; version 0 adds no row.
    pub(super) fn ends_with(&mut self, register: Register, version: Version) {
        self.history.final_state.extend((version > 0).then_some((register, version)));
    }

    /// Whether the check finds a violation of this kind.
    pub(super) fn has(&self, anomaly: Anomaly) -> bool {
        check(&self.history).violations.iter().any(|violation| violation.anomaly == anomaly)
    }

    #[track_caller]
    pub(super) fn assert_valid(&self) {
        let violations = check(&self.history).violations;
        assert!(violations.is_empty(), "{violations:?}");
    }

    /// Asserts that the check finds this violation and no other.
    #[track_caller]
    pub(super) fn assert_violates(&self, anomaly: Anomaly, detail: &str) {
        let found: Vec<_> = check(&self.history)
            .violations
            .into_iter()
            .map(|violation| (violation.anomaly, violation.detail))
            .collect();
        assert_eq!(found, [(anomaly, detail.to_owned())]);
    }
}

/// An operation that takes a tenth of a second and ends at this one, by a client in ams.
pub(super) fn operation(
    client: u32,
    seconds: f64,
    request: Request,
    outcome: Outcome,
) -> Operation {
    Operation {
        client,
        region: "ams".to_owned(),
        start: Duration::from_secs_f64(seconds - 0.1),
        end: Duration::from_secs_f64(seconds),
        request,
        outcome,
        status: Some(if outcome == Outcome::Ok { 200 } else { 503 }),
        served_by: None,
        instance: None,
        position: None,
        user_id: None,
        observed: vec![],
    }
}

pub(super) fn at(timeline: u32, lsn: u64) -> Position {
    Position { system: SYSTEM, timeline, lsn }
}
