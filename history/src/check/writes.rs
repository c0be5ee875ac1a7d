//! A server that everybody had time to know as an old primary gets no write.

use super::circumstances::Circumstances;
use super::{MARGIN, Promise, Verdict};
use crate::history::History;
use crate::operation::Outcome;

pub(super) fn check(history: &History, verdict: &mut Verdict) {
    for (index, write) in history.operations.iter().enumerate() {
        let Some(position) = write.position.filter(|_| write.action.is_write() && write.outcome == Outcome::Done) else {
            continue;
        };
        if history.timelines.lost(position).is_none() {
            continue;
        }
        let known = history.timelines.promotions.iter().find(|promotion| {
            let since = Circumstances::of(history, promotion.done, write.end);
            let is_alone = history.regions.iter().any(|region| !since.is_whole(region, &promotion.region));
            promotion.timeline > position.timeline
                && promotion.done + MARGIN < write.start
                && since.is_well(&promotion.region)
                && !is_alone
        });
        if let Some(promotion) = known {
            let late = write.start.saturating_sub(promotion.done).as_secs_f64();
            let what = format!(
                "timeline {} took it {late:.1} s after {} had begun timeline {}",
                position.timeline, promotion.region, promotion.timeline
            );
            verdict.add(Promise::NoOldPrimary, what, [index]);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::Promise;
    use crate::check::stories::{MINE, Story, at, promotion};
    use crate::fault::Fault;

    #[test]
    fn an_old_primary_takes_a_write() {
        let mut story = Story::new();
        story.promoted(promotion("ord", 2, 3), 50);
        story.left(MINE, 0);
        story.write(1, 6.0, 1, Some(at(1, 100)));
        story.assert_good();
        story.write(1, 9.5, 2, Some(at(1, 200)));
        story.assert_breaks(Promise::NoOldPrimary, "timeline 1 took it 6.4 s after ord had begun timeline 2");
        // Who cannot see the new one cannot know.
        story.fault(Fault::Cut("nrt".to_owned(), "ord".to_owned()), 2.0, 9.0);
        story.assert_good();
    }
}
