//! Nothing lost, nothing twice, nothing untold: the rows at the end beside the writes.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::{Promise, Verdict};
use crate::history::History;
use crate::history::operation::Outcome;
use crate::workload::register::{Row, Version};

pub(super) fn check(history: &History, shared: &HashSet<Row>, verdict: &mut Verdict) {
    let mut left: HashMap<Row, Version> = HashMap::new();
    for (row, version) in &history.left {
        if let Some(other) = left.insert(*row, *version) {
            let creates = written(history)
                .filter(|(_, it, first, _)| it == row && *first == 1)
                .map(|(index, ..)| index);
            verdict.add(
                Promise::NothingTwice,
                format!("there are two of {row}, s{other} and s{version}"),
                creates,
            );
        }
    }
    for (index, row, version, outcome) in written(history) {
        let there = left.get(&row).copied().unwrap_or(0);
        if outcome != Outcome::Done || there == version || shared.contains(&row) {
            continue;
        }
        let write = &history.operations[index];
        if history.may_be_lost(write, Duration::MAX) {
            // Also where a later version hides it.
            verdict.lost_at_promotions.push(index);
        } else if there < version {
            verdict.add(
                Promise::NothingLost,
                format!("{row} ends with s{there}, s{version} was acknowledged"),
                [index],
            );
        }
    }
    untold(history, verdict);
}

/// A version that is seen, or there at the end, and whose every write was refused.
fn untold(history: &History, verdict: &mut Verdict) {
    let may_be: HashSet<_> = written(history)
        .filter(|(.., outcome)| *outcome != Outcome::Refused)
        .map(|(_, row, version, _)| (row, version))
        .collect();
    let refused: HashMap<_, _> = written(history)
        .filter(|(_, row, version, _)| !may_be.contains(&(*row, *version)))
        .map(|(index, row, version, _)| ((row, version), index))
        .collect();
    for kept in &history.left {
        if let Some(index) = refused.get(kept) {
            verdict.add(
                Promise::NothingUntold,
                format!("{} is there at the end", kept.0.name(kept.1)),
                [*index],
            );
        }
    }
    for (read, operation) in history.operations.iter().enumerate() {
        for seen in &operation.seen {
            if let Some(index) = refused.get(seen) {
                verdict.add(
                    Promise::NothingUntold,
                    format!("{} was seen", seen.0.name(seen.1)),
                    [*index, read],
                );
            }
        }
    }
}

fn written(history: &History) -> impl Iterator<Item = (usize, Row, Version, Outcome)> {
    history.operations.iter().enumerate().filter_map(|(index, operation)| {
        let (row, version) = operation.action.written()?;
        Some((index, row, version, operation.outcome))
    })
}

#[cfg(test)]
mod tests {
    use crate::check::fixtures::{self, MINE, Story, at, promotion};
    use crate::check::{Promise, check};
    use crate::history::operation::{Action, Operation, Outcome};
    use crate::workload::register::Row;

    #[test]
    fn an_acknowledged_write_that_is_gone() {
        let mut story = Story::new();
        story.write(1, 1.0, 1, Some(at(1, 100)));
        story.write(1, 2.0, 2, Some(at(1, 200)));
        story.left(MINE, 1);
        story.assert_breaks(Promise::NothingLost, "v1 r1 ends with s1, s2 was acknowledged");
    }

    #[test]
    fn what_had_not_reached_the_new_primary_is_counted_apart() {
        let mut story = Story::new();
        story.write(1, 1.0, 1, Some(at(1, 100)));
        story.write(1, 2.0, 2, Some(at(1, 200)));
        story.left(MINE, 1);
        story.promoted(promotion("ord", 2, 3), 150);
        let verdict = check(&story.history);
        assert!(verdict.violations.is_empty(), "{:?}", verdict.violations);
        assert_eq!(verdict.lost_at_promotions, [1]);
        // It had reached it, and is gone all the same.
        story.history.timelines.left_at = vec![(1, 200)];
        story.assert_breaks(Promise::NothingLost, "v1 r1 ends with s1, s2 was acknowledged");
    }

    #[test]
    fn a_write_without_a_position_may_be_lost_at_the_next_promotion() {
        let mut story = Story::new();
        story.write(1, 1.0, 1, None);
        story.promoted(promotion("ord", 2, 3), 150);
        assert_eq!(check(&story.history).lost_at_promotions, [0]);
        story.assert_good();
        // What is there has survived, whatever its position says.
        story.left(MINE, 1);
        assert!(check(&story.history).lost_at_promotions.is_empty());
    }

    #[test]
    fn an_id_that_is_given_twice_says_nothing() {
        let other = Row { owner: 2, number: 1 };
        let mut story = Story::new();
        story.write(1, 1.0, 1, Some(at(1, 200)));
        story.promoted(promotion("ord", 2, 3), 150);
        let create = fixtures::operation(2, 4.0, Action::Create(other), Outcome::Done);
        story.add(Operation { position: Some(at(2, 160)), ..create });
        story.write(1, 5.0, 2, Some(at(2, 170)));
        story.left(MINE, 2);
        story.assert_breaks(Promise::NothingLost, "v2 r1 ends with s0, s1 was acknowledged");
        for index in [0, 1] {
            story.history.operations[index].id = Some(40);
        }
        story.assert_good();
    }

    #[test]
    fn an_uncertain_write_may_be_there_or_not() {
        for left in [0, 1] {
            let mut story = Story::new();
            story.add(fixtures::operation(1, 1.0, Action::Create(MINE), Outcome::Uncertain));
            story.left(MINE, left);
            story.assert_good();
        }
    }

    #[test]
    fn a_create_that_was_repeated_makes_one() {
        let mut story = Story::new();
        story.add(fixtures::operation(1, 1.0, Action::Create(MINE), Outcome::Uncertain));
        story.write(1, 2.0, 1, None);
        story.left(MINE, 1);
        story.assert_good();
        story.left(MINE, 1);
        story.assert_breaks(Promise::NothingTwice, "there are two of v1 r1, s1 and s1");
    }

    #[test]
    fn what_was_refused_is_never_seen() {
        let mut story = Story::new();
        story.write(1, 1.0, 1, None);
        story.add(fixtures::operation(1, 2.0, Action::Update(MINE, 2), Outcome::Refused));
        story.left(MINE, 1);
        story.assert_good();
        story.read(2, 3.0, 2, None);
        story.assert_breaks(Promise::NothingUntold, "v1 r1 s2 was seen");
    }
}
