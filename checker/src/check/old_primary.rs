//! A server that is known to be an old primary gets no write: not from an instance that has shown that it knows, and not from any
//! when everybody had time to.

use super::window::Circumstances;
use super::{MARGIN, Promise, Verdict};
use crate::history::History;
use crate::history::operation::{Operation, Outcome};
use crate::history::timelines::Promotion;

pub(super) fn check(history: &History, verdict: &mut Verdict) {
    let is_acknowledged =
        |write: &Operation| write.action.is_write() && write.outcome == Outcome::Done;
    for (index, write) in
        history.operations.iter().enumerate().filter(|(_, it)| is_acknowledged(it))
    {
        let mut replaced = history
            .timelines
            .promotions
            .iter()
            .filter(|it| it.began <= write.end && is_by_the_old_primary(it, write));
        let found = replaced.find_map(|promotion| {
            let Promotion { region, before, timeline, done, .. } = promotion;
            if let Some(answer) = had_shown_it(history, promotion, write) {
                let instance = write.instance.as_deref().unwrap_or_default();
                let what = format!("the instance in {instance} had shown timeline {timeline}, and wrote to {before}");
                return Some((what, vec![answer, index]));
            }
            let late = write.start.saturating_sub(*done).as_secs_f64();
            let what = || format!("{before} took it {late:.1} s after {region} had begun timeline {timeline}");
            everybody_knew(history, promotion, write).then(|| (what(), vec![index]))
        });
        if let Some((what, operations)) = found {
            verdict.add(Promise::NoOldPrimary, what, operations);
        }
    }
}

/// Whether the primary before this promotion took this write: the answer's position says so, or the name of the database in it. Where a
/// visitor carries a position of the new timeline, or there are none, only the latter does.
fn is_by_the_old_primary(promotion: &Promotion, write: &Operation) -> bool {
    let by_name = write.database() == Some(&promotion.before) && write.end <= promotion.settled;
    by_name || write.position.is_some_and(|position| position.timeline < promotion.timeline)
}

/// The answer, ended before the write began, by which its instance showed the new timeline. Started anew it has to learn that again.
fn had_shown_it(history: &History, promotion: &Promotion, write: &Operation) -> Option<usize> {
    let instance = write.instance.as_deref()?;
    history.operations.iter().position(|answer| {
        answer.instance.as_deref() == Some(instance)
            && answer.end <= write.start
            && answer.position.is_some_and(|position| position.timeline >= promotion.timeline)
            && !Circumstances::of(history, answer.start, write.end).restarts(instance)
    })
}

/// Whether the new primary was there for everybody, and for so long that everybody had noticed before the write began.
fn everybody_knew(history: &History, promotion: &Promotion, write: &Operation) -> bool {
    let since = Circumstances::of(history, promotion.done, write.end);
    promotion.done + MARGIN < write.start
        && since.is_well(&promotion.region)
        && history.regions.iter().all(|region| since.is_whole(region, &promotion.region))
        && !since.has_stall()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::check::Promise;
    use crate::check::fixtures::{self, MINE, Story, at, promotion};
    use crate::history::operation::{Action, Operation, Outcome};
    use crate::history::timelines::Promotion;
    use crate::nemesis::fault::Fault;

    /// ord is promoted after 3 s, and nrt runs on for 9 more.
    fn split() -> Story {
        let mut story = Story::new();
        story
            .promoted(Promotion { settled: Duration::from_secs(12), ..promotion("ord", 2, 3) }, 50);
        story
    }

    #[test]
    fn an_old_primary_takes_a_write_when_everybody_had_time_to_know() {
        let mut story = split();
        story.write(1, 6.0, 1, Some(at(1, 100)));
        story.assert_good();
        story.write(1, 9.5, 2, Some(at(1, 200)));
        story.assert_breaks(
            Promise::NoOldPrimary,
            "nrt took it 6.4 s after ord had begun timeline 2",
        );
        // Who cannot see the new one cannot know.
        story.fault(Fault::Cut("nrt".to_owned(), "ord".to_owned()), 2.0, 9.0);
        story.assert_good();
    }

    #[test]
    fn its_name_gives_it_away_where_no_position_does() {
        let mut story = split();
        let write = fixtures::operation(1, 9.5, Action::Create(MINE), Outcome::Done);
        story.add(Operation {
            served_by: Some("ord; role=primary; reason=primary".to_owned()),
            ..write.clone()
        });
        story.assert_good();
        story.add(Operation {
            served_by: Some("nrt; role=primary; reason=primary".to_owned()),
            ..write
        });
        story.assert_breaks(
            Promise::NoOldPrimary,
            "nrt took it 6.4 s after ord had begun timeline 2",
        );
    }

    #[test]
    fn an_instance_that_has_shown_the_new_timeline_writes_to_the_old_primary() {
        let mut story = split();
        let by_ams = |operation: Operation, timeline| Operation {
            instance: Some("ams".to_owned()),
            position: Some(at(timeline, 100)),
            ..operation
        };
        let write = fixtures::operation(1, 4.5, Action::Create(MINE), Outcome::Done);
        story.add(by_ams(write, 1));
        story.add(by_ams(fixtures::operation(2, 4.6, Action::List, Outcome::Done), 2));
        story.assert_good();
        story.add(by_ams(fixtures::operation(1, 5.0, Action::Update(MINE, 2), Outcome::Done), 1));
        story.assert_breaks(
            Promise::NoOldPrimary,
            "the instance in ams had shown timeline 2, and wrote to nrt",
        );
        story.fault(Fault::Restart("ams".to_owned()), 4.7, 4.8);
        story.assert_good();
    }
}
