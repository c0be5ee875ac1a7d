//! Compares the rows at the end with the writes: no write is lost, doubled, or applied although it
//! failed.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::{Analysis, Anomaly};
use crate::history::{History, Outcome};
use crate::workload::{Register, Version};

pub(super) fn check(history: &History, ambiguous: &HashSet<Register>, analysis: &mut Analysis) {
    let mut final_versions: HashMap<Register, Version> = HashMap::new();
    for (register, version) in &history.final_state {
        if let Some(other) = final_versions.insert(*register, *version) {
            let creates = writes(history)
                .filter(|(_, written, first, _)| written == register && *first == 1)
                .map(|(index, ..)| index);
            analysis.add(
                Anomaly::DuplicateCreate,
                format!("{register} has two users, with v{other} and v{version}"),
                creates,
            );
        }
    }
    for (index, register, version, outcome) in writes(history) {
        let found = final_versions.get(&register).copied().unwrap_or(0);
        if outcome != Outcome::Ok || found == version || ambiguous.contains(&register) {
            continue;
        }
        if history.may_be_lost(&history.operations[index], Duration::MAX) {
            // Counted even if a later version has replaced it.
            analysis.lost_at_promotions.push(index);
        } else if found < version {
            analysis.add(
                Anomaly::LostWrite,
                format!("{register} ends with v{found}, v{version} was acknowledged"),
                [index],
            );
        }
    }
    check_failed_writes(history, analysis);
}

/// Finds versions in the final state or in a read although each write of them failed.
fn check_failed_writes(history: &History, analysis: &mut Analysis) {
    let possible: HashSet<_> = writes(history)
        .filter(|(.., outcome)| *outcome != Outcome::Failed)
        .map(|(_, register, version, _)| (register, version))
        .collect();
    let failed: HashMap<_, _> = writes(history)
        .filter(|(_, register, version, _)| !possible.contains(&(*register, *version)))
        .map(|(index, register, version, _)| ((register, version), index))
        .collect();
    for row in &history.final_state {
        if let Some(write) = failed.get(row) {
            analysis.add(
                Anomaly::FailedWriteVisible,
                format!("{} is there at the end", row.0.user_name(row.1)),
                [*write],
            );
        }
    }
    for (read, operation) in history.operations.iter().enumerate() {
        for observed in &operation.observed {
            if let Some(write) = failed.get(observed) {
                analysis.add(
                    Anomaly::FailedWriteVisible,
                    format!("{} was read", observed.0.user_name(observed.1)),
                    [*write, read],
                );
            }
        }
    }
}

fn writes(history: &History) -> impl Iterator<Item = (usize, Register, Version, Outcome)> {
    history.operations.iter().enumerate().filter_map(|(index, operation)| {
        let (register, version) = operation.request.written()?;
        Some((index, register, version, operation.outcome))
    })
}

#[cfg(test)]
mod tests {
    use crate::check::fixtures::{HistoryBuilder, REGISTER, at, operation};
    use crate::check::{Anomaly, check};
    use crate::history::{Operation, Outcome};
    use crate::nemesis::Promotion;
    use crate::workload::{Register, Request};

    #[test]
    fn an_acknowledged_write_that_is_gone_is_lost() {
        let mut history = HistoryBuilder::new();
        history.write(1, 1.0, 1, Some(at(1, 100)));
        history.write(1, 2.0, 2, Some(at(1, 200)));
        history.ends_with(REGISTER, 1);
        history.assert_violates(Anomaly::LostWrite, "c1 r1 ends with v1, v2 was acknowledged");
    }

    #[test]
    fn writes_that_a_promotion_discards_are_counted_apart() {
        let mut history = HistoryBuilder::new();
        history.write(1, 1.0, 1, Some(at(1, 100)));
        history.write(1, 2.0, 2, Some(at(1, 200)));
        history.ends_with(REGISTER, 1);
        history.promoted(Promotion::at_second(3, "ord", 2), 150);
        let analysis = check(&history.history);
        assert!(analysis.violations.is_empty(), "{:?}", analysis.violations);
        assert_eq!(analysis.lost_at_promotions, [1]);
        // The new primary had received it, and still it is gone.
        history.history.timelines.last.forks = vec![(1, 200)];
        history.assert_violates(Anomaly::LostWrite, "c1 r1 ends with v1, v2 was acknowledged");
    }

    #[test]
    fn a_promotion_may_discard_a_write_without_a_position() {
        let mut history = HistoryBuilder::new();
        history.write(1, 1.0, 1, None);
        history.promoted(Promotion::at_second(3, "ord", 2), 150);
        assert_eq!(check(&history.history).lost_at_promotions, [0]);
        history.assert_valid();
        // A row at the end has survived, whatever its position.
        history.ends_with(REGISTER, 1);
        assert!(check(&history.history).lost_at_promotions.is_empty());
    }

    #[test]
    fn registers_that_got_the_same_id_are_not_judged() {
        let other = Register { owner: 2, number: 1 };
        let mut history = HistoryBuilder::new();
        history.write(1, 1.0, 1, Some(at(1, 200)));
        history.promoted(Promotion::at_second(3, "ord", 2), 150);
        let create = operation(2, 4.0, Request::Create(other), Outcome::Ok);
        history.add(Operation { position: Some(at(2, 160)), ..create });
        history.write(1, 5.0, 2, Some(at(2, 170)));
        history.ends_with(REGISTER, 2);
        history.assert_violates(Anomaly::LostWrite, "c2 r1 ends with v0, v1 was acknowledged");
        for index in [0, 1] {
            history.history.operations[index].user_id = Some(40);
        }
        history.assert_valid();
    }

    #[test]
    fn a_write_with_an_unknown_outcome_may_be_there_or_not() {
        for version in [0, 1] {
            let mut history = HistoryBuilder::new();
            history.add(operation(1, 1.0, Request::Create(REGISTER), Outcome::Unknown));
            history.ends_with(REGISTER, version);
            history.assert_valid();
        }
    }

    #[test]
    fn a_repeated_create_makes_one_user() {
        let mut history = HistoryBuilder::new();
        history.add(operation(1, 1.0, Request::Create(REGISTER), Outcome::Unknown));
        history.write(1, 2.0, 1, None);
        history.ends_with(REGISTER, 1);
        history.assert_valid();
        history.ends_with(REGISTER, 1);
        history.assert_violates(Anomaly::DuplicateCreate, "c1 r1 has two users, with v1 and v1");
    }

    #[test]
    fn a_failed_write_is_never_read() {
        let mut history = HistoryBuilder::new();
        history.write(1, 1.0, 1, None);
        history.add(operation(1, 2.0, Request::Update(REGISTER, 2), Outcome::Failed));
        history.ends_with(REGISTER, 1);
        history.assert_valid();
        history.read(2, 3.0, 2, None);
        history.assert_violates(Anomaly::FailedWriteVisible, "c1 r1 v2 was read");
    }
}
