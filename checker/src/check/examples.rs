//! For each anomaly a shortest history that shows it, and a close neighbour that is valid.

use std::time::Duration;

use super::Anomaly;
use super::fixtures::{HistoryBuilder, REGISTER, at, operation};
use crate::history::{Operation, Outcome};
use crate::nemesis::{Fault, Promotion};
use crate::workload::{CommitKind, OPERATOR, Register, Request};

/// Two histories that differ in one point.
struct Example {
    anomaly: Anomaly,
    detail: &'static str,
    /// What both have in common.
    both: fn(&mut HistoryBuilder),
    violating: fn(&mut HistoryBuilder),
    valid: fn(&mut HistoryBuilder),
}

const EXAMPLES: &[Example] = &[
    Example {
        anomaly: Anomaly::LostWrite,
        detail: "c1 r1 ends with v0, v1 was acknowledged",
        both: |history| history.write(1, 1.0, 1, Some(at(1, 100))),
        violating: |history| history.ends_with(REGISTER, 0),
        valid: |history| history.ends_with(REGISTER, 1),
    },
    // A promotion excuses only what the new primary had not received.
    Example {
        anomaly: Anomaly::LostWrite,
        detail: "c1 r1 ends with v0, v1 was acknowledged",
        both: |history| history.promoted(Promotion::at_second(3, "ord", 2), 150),
        violating: |history| history.write(1, 1.0, 1, Some(at(1, 150))),
        valid: |history| history.write(1, 1.0, 1, Some(at(1, 151))),
    },
    // Instances have 5 s to notice a promotion …
    Example {
        anomaly: Anomaly::WriteToOldPrimary,
        detail: "nrt took it 5.1 s after ord began timeline 2",
        both: |history| split_brain_at_3_s(history),
        violating: |history| history.write(1, 8.2, 1, Some(at(1, 100))),
        valid: |history| history.write(1, 8.0, 1, Some(at(1, 100))),
    },
    // … but not one that has shown the new timeline.
    Example {
        anomaly: Anomaly::WriteToOldPrimary,
        detail: "the app in ams had shown timeline 2, and wrote to nrt",
        both: |history| {
            split_brain_at_3_s(history);
            answer(history, 4.0, Request::List, "ams", 2);
        },
        violating: |history| answer(history, 5.0, Request::Create(REGISTER), "ams", 1),
        valid: |history| answer(history, 5.0, Request::Create(REGISTER), "ord", 1),
    },
    // A writable twin answers as a primary, and later follows again.
    Example {
        anomaly: Anomaly::WrongPrimary,
        detail: "ord answered as a primary, and does not lead",
        both: |history| history.fault(Fault::Twin("ord".to_owned()), 1.0, 5.0),
        violating: |history| history.read_from(1, 3.0, 0, "ord; role=primary; reason=local"),
        valid: |history| history.read_from(1, 3.0, 0, "nrt; role=primary; reason=primary"),
    },
    // A replica ahead of a primary that was put back must not show what is lost …
    Example {
        anomaly: Anomaly::LostHistoryServed,
        detail: "c1 r1 v1 was lost",
        both: |history| {
            history.write(1, 1.5, 1, None);
            history.put_back(2.0);
        },
        violating: |history| history.read(2, 8.0, 1, None),
        valid: |history| history.read(2, 8.0, 0, None),
    },
    // … once instances have had time to notice.
    Example {
        anomaly: Anomaly::LostHistoryServed,
        detail: "c1 r1 v1 was lost",
        both: |history| {
            history.write(1, 1.5, 1, None);
            history.put_back(2.0);
        },
        violating: |history| history.read(2, 7.2, 1, None),
        valid: |history| history.read(2, 7.0, 1, None),
    },
    // A crash of the primary undoes an asynchronous commit, and no other.
    Example {
        anomaly: Anomaly::NonMonotonicRead,
        detail: "c0 r1 shows v0 to client 2, who saw v1",
        both: |history| {
            for (seconds, version) in [(1.2, 1), (2.0, 0)] {
                let observed = vec![(OPERATORS, version)];
                let read = operation(2, seconds, Request::Read(OPERATORS), Outcome::Ok);
                history.add(Operation { observed, ..read });
            }
            history.ends_with(OPERATORS, 1);
        },
        violating: |history| history.fault(Fault::Kill("nrt".to_owned()), 1.5, 1.8),
        valid: |history| {
            history.fault(Fault::Kill("nrt".to_owned()), 1.5, 1.8);
            let request = Request::Commit(OPERATORS, 1, CommitKind::Asynchronous);
            history.add(operation(OPERATOR, 1.0, request, Outcome::Ok));
        },
    },
    // A late answer is no better than none.
    Example {
        anomaly: Anomaly::NeedlesslyFailed,
        detail: "a late answer, while nrt could be reached and was fresh enough",
        both: |_| {},
        violating: |history| read_for(history, 5.1),
        valid: |history| read_for(history, 4.9),
    },
    // New servers behind the same URLs are adopted within 10 s.
    Example {
        anomaly: Anomaly::NeedlesslyFailed,
        detail: "503, while nrt could be reached and was fresh enough",
        both: |history| failed_read(history),
        violating: |history| history.fault(Fault::Restore, 1.0, 9.8),
        valid: |history| history.fault(Fault::Restore, 1.0, 10.0),
    },
    Example {
        anomaly: Anomaly::DuplicateCreate,
        detail: "c1 r1 has two users, with v1 and v1",
        both: |history| history.ends_with(REGISTER, 1),
        violating: |history| history.ends_with(REGISTER, 1),
        valid: |_| {},
    },
    Example {
        anomaly: Anomaly::FailedWriteVisible,
        detail: "c1 r1 v1 is there at the end",
        both: |history| history.ends_with(REGISTER, 1),
        violating: |history| create(history, Outcome::Failed),
        valid: |history| create(history, Outcome::Unknown),
    },
    Example {
        anomaly: Anomaly::FailedWriteVisible,
        detail: "c1 r1 v1 was read",
        both: |history| history.read(2, 2.0, 1, None),
        violating: |history| create(history, Outcome::Failed),
        valid: |history| create(history, Outcome::Unknown),
    },
    Example {
        anomaly: Anomaly::OwnWriteMissing,
        detail: "c1 r1 shows v0 to its owner, who wrote v1",
        both: |history| acknowledged_create(history),
        violating: |history| history.read(1, 2.0, 0, None),
        valid: |history| history.read(2, 2.0, 0, None),
    },
    // A read that began before the write was acknowledged need not show it.
    Example {
        anomaly: Anomaly::OwnWriteMissing,
        detail: "c1 r1 shows v0 to its owner, who wrote v1",
        both: |history| acknowledged_create(history),
        violating: |history| history.read(1, 1.1, 0, None),
        valid: |history| history.read(1, 1.09, 0, None),
    },
    Example {
        anomaly: Anomaly::NonMonotonicRead,
        detail: "c1 r1 shows v0 to client 2, who saw v1",
        both: |history| history.read(2, 2.0, 1, None),
        violating: |history| history.read(2, 3.0, 0, None),
        valid: |history| history.read(3, 3.0, 0, None),
    },
    // `max_lag` is 2 s, and the slack is 0.3 s.
    Example {
        anomaly: Anomaly::StaleRead,
        detail: "c1 r1 shows v0, v1 was 2.3 s old",
        both: |history| acknowledged_create(history),
        violating: |history| history.read(2, 3.41, 0, None),
        valid: |history| history.read(2, 3.39, 0, None),
    },
    // A stated age of 4 s means less than 5 s.
    Example {
        anomaly: Anomaly::StaleRead,
        detail: "c1 r1 shows v0, v1 was 5.4 s old, and the answer says 4s",
        both: |history| {
            acknowledged_create(history);
            history.fault(Fault::Kill("nrt".to_owned()), 2.0, 20.0);
        },
        violating: |history| history.read_from(2, 6.5, 0, "ord; role=replica; stale=4s"),
        valid: |history| history.read_from(2, 6.5, 0, "ord; role=replica; stale=5s"),
    },
    Example {
        anomaly: Anomaly::NeedlesslyStale,
        detail: "marked as stale, while nrt could be reached",
        both: |history| history.read_from(1, 20.0, 0, "ord; role=replica; stale=7s"),
        violating: |history| cut_from_the_primary(history, 14.8),
        valid: |history| cut_from_the_primary(history, 15.0),
    },
    Example {
        anomaly: Anomaly::NeedlesslyFailed,
        detail: "503, while nrt could be reached and was fresh enough",
        both: |history| failed_read(history),
        violating: |history| cut_from_the_primary(history, 14.8),
        valid: |history| cut_from_the_primary(history, 15.0),
    },
    // A replica must serve only clients that have seen nothing newer than it has replayed.
    Example {
        anomaly: Anomaly::NeedlesslyFailed,
        detail: "503, while ord could be reached and was fresh enough",
        both: |history| {
            history.fault(Fault::Kill("nrt".to_owned()), 10.0, 30.0);
            history.sample(19.0, "ord", at(1, 100));
            failed_read(history);
        },
        violating: |_| {},
        valid: |history| {
            let seen = operation(1, 9.0, Request::List, Outcome::Ok);
            history.add(Operation { position: Some(at(1, 101)), ..seen });
        },
    },
];

/// The operator's register.
const OPERATORS: Register = Register { owner: OPERATOR, number: 1 };

/// A read that takes so many seconds.
fn read_for(history: &mut HistoryBuilder, seconds: f64) {
    let read = operation(1, 20.0, Request::List, Outcome::Ok);
    let start = read.end.saturating_sub(Duration::from_secs_f64(seconds));
    history.add(Operation { start, ..read });
}

fn create(history: &mut HistoryBuilder, outcome: Outcome) {
    history.add(operation(1, 1.0, Request::Create(REGISTER), outcome));
}

fn acknowledged_create(history: &mut HistoryBuilder) {
    create(history, Outcome::Ok);
    history.ends_with(REGISTER, 1);
}

fn failed_read(history: &mut HistoryBuilder) {
    history.add(operation(1, 20.0, Request::Read(REGISTER), Outcome::Failed));
}

/// The clients' region cannot reach nrt until this second.
fn cut_from_the_primary(history: &mut HistoryBuilder, until: f64) {
    history.fault(Fault::Cut("nrt".to_owned(), "ams".to_owned()), 1.0, until);
}

/// ord is promoted, and nrt keeps running for 9 s. The register ends with version 1.
fn split_brain_at_3_s(history: &mut HistoryBuilder) {
    let promotion = Promotion::at_second(3, "ord", 2);
    history.promoted(Promotion { settled: Duration::from_secs(12), ..promotion }, 50);
    history.ends_with(REGISTER, 1);
}

/// An answer of the instance in this region with a position on this timeline.
fn answer(
    history: &mut HistoryBuilder,
    seconds: f64,
    request: Request,
    instance: &str,
    timeline: u32,
) {
    history.add(Operation {
        instance: Some(instance.to_owned()),
        position: Some(at(timeline, 100)),
        ..operation(1, seconds, request, Outcome::Ok)
    });
}

impl Example {
    fn build(&self, rest: fn(&mut HistoryBuilder)) -> HistoryBuilder {
        let mut history = HistoryBuilder::new();
        (self.both)(&mut history);
        rest(&mut history);
        history.history.operations.sort_by_key(|operation| operation.start);
        history
    }
}

#[test]
fn every_anomaly_has_an_example() {
    for anomaly in Anomaly::ALL {
        assert!(EXAMPLES.iter().any(|it| it.anomaly == anomaly), "{anomaly}");
    }
}

#[test]
fn every_example_is_found() {
    for example in EXAMPLES {
        example.build(example.violating).assert_violates(example.anomaly, example.detail);
    }
}

#[test]
fn the_neighbour_of_every_example_is_valid() {
    for example in EXAMPLES {
        example.build(example.valid).assert_valid();
    }
}

#[test]
fn examples_need_each_of_their_operations() {
    for example in EXAMPLES {
        let history = example.build(example.violating);
        for index in 0..history.history.operations.len() {
            let mut shorter = history.clone();
            let removed = shorter.history.operations.remove(index);
            assert!(!shorter.has(example.anomaly), "{} without {removed}", example.anomaly);
        }
    }
}
