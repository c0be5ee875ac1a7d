//! What a read has to show at least: own writes, what this visitor saw before, what is older than `max_lag`.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::window::Circumstances;
use super::{Promise, SLACK, Verdict};
use crate::history::History;
use crate::history::operation::{Operation, Outcome};
use crate::workload::register::{Row, Version};

/// Versions of a row, each with the operation that wrote or saw it, in order.
type Versions = HashMap<Row, Vec<(Version, usize)>>;

pub(super) fn check(history: &History, shared: &HashSet<Row>, verdict: &mut Verdict) {
    let (acknowledged, mut of_visitors) = (acknowledged(history), HashMap::<u32, Versions>::new());
    for (index, operation) in history.operations.iter().enumerate() {
        let before = of_visitors.entry(operation.visitor).or_default();
        let old_enough = old_enough(history, operation);
        for (row, version) in operation.seen.iter().filter(|(row, _)| !shared.contains(row)) {
            // A promotion in the meantime may have thrown away what this read should have shown.
            let newest = |versions: Option<&Vec<(Version, usize)>>, until: Duration| {
                let versions = versions.into_iter().flatten().filter(|(_, other)| {
                    let other = &history.operations[*other];
                    other.end <= until && !history.may_be_lost(other, operation.end)
                });
                versions.max().copied().filter(|(newest, _)| newest > version)
            };
            let written = acknowledged.get(row);
            if row.owner == operation.visitor
                && let Some((own, write)) = newest(written, operation.start)
            {
                verdict.add(
                    Promise::OwnWrites,
                    format!("{row} shows s{version} to its owner, who wrote s{own}"),
                    [write, index],
                );
            } else if let Some((known, read)) = newest(before.get(row), operation.start) {
                let what = format!(
                    "{row} shows s{version} to visitor {}, who saw s{known}",
                    operation.visitor
                );
                verdict.add(Promise::NeverBackwards, what, [read, index]);
            }
            if let Some((known, write)) = old_enough.and_then(|until| newest(written, until)) {
                let age =
                    operation.start.saturating_sub(history.operations[write].end).as_secs_f64();
                let says = operation
                    .stale()
                    .map_or(String::new(), |stale| format!(", and the answer says {stale:?}"));
                let what = format!("{row} shows s{version}, s{known} was {age:.1} s old{says}");
                verdict.add(Promise::FreshEnough, what, [write, index]);
            }
        }
        for (row, version) in &operation.seen {
            before.entry(*row).or_default().push((*version, index));
        }
    }
}

/// What was written by then must be shown: `max_lag` before the read, or as old as the answer says that it is. None where nothing
/// need be: where the machine stood still, or the server could not tell its age and says `max_lag`.
fn old_enough(history: &History, read: &Operation) -> Option<Duration> {
    let allowed = match read.stale().filter(|_| read.action.may_be_old()) {
        None => history.max_lag,
        // It says whole seconds, rounded down.
        Some(says) if says > history.max_lag => says + Duration::from_secs(1),
        Some(_) => return None,
    };
    let until = read.start.checked_sub(allowed + SLACK)?;
    (!Circumstances::of(history, until, read.end).has_stall()).then_some(until)
}

fn acknowledged(history: &History) -> Versions {
    let mut versions = Versions::new();
    for (index, operation) in
        history.operations.iter().enumerate().filter(|(_, it)| it.outcome == Outcome::Done)
    {
        if let Some((row, version)) = operation.action.written() {
            versions.entry(row).or_default().push((version, index));
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use crate::check::Promise;
    use crate::check::fixtures::{MINE, Story, at, promotion};
    use crate::nemesis::fault::Fault;

    #[test]
    fn own_writes_are_seen() {
        let mut story = Story::new();
        story.write(1, 1.0, 1, None);
        story.write(1, 2.0, 2, None);
        story.read(1, 2.9, 2, None);
        story.left(MINE, 2);
        story.assert_good();
        story.read(1, 3.2, 0, None);
        story.assert_breaks(Promise::OwnWrites, "v1 r1 shows s0 to its owner, who wrote s2");
    }

    #[test]
    fn reads_go_forwards() {
        let mut story = Story::new();
        story.write(1, 1.0, 1, None);
        story.write(1, 2.0, 2, None);
        story.left(MINE, 2);
        // Another visitor may see an older one first, and another still.
        story.read(2, 2.1, 1, None);
        story.read(3, 2.2, 2, None);
        story.read(2, 2.3, 2, None);
        story.assert_good();
        story.read(3, 2.4, 1, None);
        story.assert_breaks(Promise::NeverBackwards, "v1 r1 shows s1 to visitor 3, who saw s2");
    }

    #[test]
    fn what_a_promotion_threw_away_need_not_be_seen() {
        let mut story = Story::new();
        story.write(1, 1.0, 1, Some(at(1, 100)));
        story.write(1, 2.0, 2, Some(at(1, 200)));
        story.read(2, 2.5, 2, Some(at(1, 200)));
        story.left(MINE, 1);
        story.promoted(promotion("ord", 2, 3), 150);
        story.read(1, 9.0, 1, Some(at(2, 300)));
        story.read(2, 9.0, 1, Some(at(2, 300)));
        story.assert_good();
        // Before the promotion it was there.
        story.read(1, 2.9, 1, Some(at(1, 100)));
        story.assert_breaks(Promise::OwnWrites, "v1 r1 shows s1 to its owner, who wrote s2");
    }

    #[test]
    fn no_read_is_older_than_it_says() {
        let mut story = Story::new();
        story.write(1, 1.0, 1, None);
        story.write(1, 2.0, 2, None);
        story.left(MINE, 2);
        story.fault(Fault::Kill("nrt".to_owned()), 3.0, 20.0);
        story.read_by(2, 9.0, 1, "ord; role=replica; reason=local; stale=6s");
        // Of itself nobody knows how old it is who says `max_lag`.
        story.read_by(2, 9.0, 1, "ord; role=replica; reason=local; stale=2s");
        story.assert_good();
        story.read_by(2, 9.0, 1, "ord; role=replica; reason=local; stale=4s");
        story.assert_breaks(
            Promise::FreshEnough,
            "v1 r1 shows s1, s2 was 6.9 s old, and the answer says 4s",
        );
    }

    #[test]
    fn no_read_is_too_old_and_says_nothing() {
        let mut story = Story::new();
        story.write(1, 1.0, 1, None);
        story.write(1, 2.0, 2, None);
        story.left(MINE, 2);
        story.read(2, 4.3, 1, None);
        story.assert_good();
        story.fault(Fault::Kill("nrt".to_owned()), 6.0, 9.0);
        story.read_by(3, 9.0, 1, "ord; role=replica; reason=local; stale=7s");
        story.assert_good();
        story.read(4, 9.0, 1, None);
        story.assert_breaks(Promise::FreshEnough, "v1 r1 shows s1, s2 was 6.9 s old");
        story.stall(8.0, 8.5);
        story.assert_good();
    }
}
