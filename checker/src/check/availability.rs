//! No read fails while a server that is fresh enough can be reached: one of which that is certain, from well before the read to its
//! end. The primary is always fresh enough; a replica where it had replayed all that this visitor had seen, and for a read that wants
//! no old answer where it was fed all the time. And no read is marked as stale while the primary can be reached.

use super::window::Circumstances;
use super::{MARGIN, Promise, Verdict};
use crate::Position;
use crate::history::History;
use crate::history::operation::{Operation, Outcome};

pub(super) fn check(history: &History, verdict: &mut Verdict) {
    for (index, read) in
        history.operations.iter().enumerate().filter(|(_, it)| !it.action.is_write())
    {
        let around = Circumstances::of(history, read.start.saturating_sub(MARGIN), read.end);
        // Which instance it came to is certain only where all of them ran.
        if around.has_restart() || around.has_stall() {
            continue;
        }
        let can_serve =
            |region: &str| around.is_well(region) && around.is_whole(&read.place, region);
        let primary = around.primary().filter(|region| can_serve(region));
        let will_do = |region: &str| read.action.may_be_old() || around.is_fed(region);
        let replicas = || {
            history
                .regions
                .iter()
                .map(String::as_str)
                .filter(|region| can_serve(region) && will_do(region))
        };
        let fresh_enough = || {
            primary.or_else(|| replicas().find(|region| was_fresh_enough(history, read, region)))
        };
        match (read.outcome, primary) {
            (Outcome::Done, Some(primary)) if read.stale().is_some() => {
                verdict.add(
                    Promise::FreshIfPossible,
                    format!("marked as stale, while {primary} could be reached"),
                    [index],
                );
            }
            (Outcome::Done, _) => {}
            (Outcome::Refused | Outcome::Uncertain, _) => {
                let answer =
                    read.status.map_or("no answer".to_owned(), |status| status.to_string());
                let what = |region| {
                    format!("{answer}, while {region} could be reached and was fresh enough")
                };
                if let Some(region) = fresh_enough() {
                    verdict.add(Promise::Available, what(region), [index]);
                }
            }
        }
    }
}

/// Whether the server in `region` had replayed all that this visitor had seen before the read, and was well ever since.
fn was_fresh_enough(history: &History, read: &Operation, region: &str) -> bool {
    let mine =
        history.operations.iter().filter(|it| it.visitor == read.visitor && it.end <= read.start);
    let seen: Vec<Position> = mine.filter_map(|it| it.position).collect();
    // With a position that the log has left behind, a visitor is sent to the primary.
    if seen.last().is_some_and(|last| history.timelines.lost(*last).is_some()) {
        return false;
    }
    let includes_all = |shown: Position| {
        let survived = seen.iter().filter(|position| history.timelines.lost(**position).is_none());
        survived.into_iter().all(|position| history.timelines.includes(shown, *position))
    };
    let samples =
        history.samples.iter().filter(|sample| sample.at <= read.start && sample.region == region);
    let mut included = samples.filter(|sample| includes_all(sample.position));
    included.any(|sample| Circumstances::of(history, sample.at, read.end).is_well(region))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::check::Promise;
    use crate::check::fixtures::{self, MINE, Story, at};
    use crate::history::operation::{Action, Outcome};
    use crate::nemesis::fault::Fault;

    fn failed(story: &mut Story, seconds: f64) {
        story.add(fixtures::operation(1, seconds, Action::Read(MINE), Outcome::Refused));
    }

    #[test]
    fn a_read_fails_although_all_is_well() {
        let mut story = Story::new();
        failed(&mut story, 9.0);
        story.assert_breaks(
            Promise::Available,
            "503, while nrt could be reached and was fresh enough",
        );
    }

    #[test]
    fn nobody_could_serve_it() {
        let mut story = Story::new();
        for region in ["nrt", "ord"] {
            story.fault(Fault::Kill(region.to_owned()), 8.0, 9.0);
        }
        failed(&mut story, 9.0);
        story.assert_good();
        // Long after that there is no excuse.
        failed(&mut story, 15.0);
        story.assert_breaks(
            Promise::Available,
            "503, while nrt could be reached and was fresh enough",
        );
    }

    #[test]
    fn a_replica_has_replayed_what_this_visitor_saw() {
        let mut story = Story::new();
        story.fault(Fault::Kill("nrt".to_owned()), 8.0, 20.0);
        story.write(1, 1.0, 1, Some(at(1, 100)));
        story.left(MINE, 1);
        failed(&mut story, 9.0);
        story.sample(2.0, "ord", at(1, 90));
        story.assert_good();
        story.sample(8.5, "ord", at(1, 100));
        story.assert_breaks(
            Promise::Available,
            "503, while ord could be reached and was fresh enough",
        );
        // Cut off, it could not be reached.
        story.fault(Fault::Cut("ord".to_owned(), "ams".to_owned()), 8.0, 20.0);
        story.assert_good();
    }

    #[test]
    fn who_wants_no_old_answer_needs_a_replica_that_is_fed() {
        let mut story = Story::new();
        story.write(1, 1.0, 1, Some(at(1, 100)));
        story.left(MINE, 1);
        story.sample(8.5, "ord", at(1, 100));
        story.add(fixtures::operation(1, 20.0, Action::Edit(MINE), Outcome::Refused));
        story.fault(Fault::Cut("nrt".to_owned(), "ams".to_owned()), 8.0, 20.0);
        story.assert_breaks(
            Promise::Available,
            "503, while ord could be reached and was fresh enough",
        );
        story.fault(Fault::Pause("ord".to_owned()), 12.0, 16.0);
        story.assert_good();
    }

    #[test]
    fn a_slow_line_is_no_excuse_and_a_machine_that_stands_still_is() {
        let mut story = Story::new();
        failed(&mut story, 9.0);
        story.fault(
            Fault::Slow("nrt".to_owned(), "ams".to_owned(), Duration::from_millis(100)),
            1.0,
            10.0,
        );
        story.assert_breaks(
            Promise::Available,
            "503, while nrt could be reached and was fresh enough",
        );
        story.stall(6.0, 7.0);
        story.assert_good();
    }

    #[test]
    fn a_read_is_stale_although_the_primary_is_there() {
        let mut story = Story::new();
        story.read_by(1, 20.0, 0, "ord; role=replica; reason=local; stale=7s");
        story
            .assert_breaks(Promise::FreshIfPossible, "marked as stale, while nrt could be reached");
        story.fault(Fault::Cut("nrt".to_owned(), "ams".to_owned()), 1.0, 19.0);
        story.assert_good();
    }

    #[test]
    fn while_an_instance_restarts_nothing_is_certain() {
        let mut story = Story::new();
        story.fault(Fault::Restart("ord".to_owned()), 8.0, 9.0);
        story.fault(Fault::Lag("ord".to_owned(), Duration::from_secs(1)), 8.0, 9.0);
        failed(&mut story, 9.0);
        story.assert_good();
    }
}
