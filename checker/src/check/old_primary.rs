//! An old primary takes no write from an instance that has shown the new timeline, and none at all
//! once every instance has had time to notice the promotion.

use super::window::Window;
use super::{Analysis, Anomaly, MARGIN};
use crate::history::{History, Operation, Outcome};
use crate::nemesis::Promotion;

pub(super) fn check(history: &History, analysis: &mut Analysis) {
    for (index, write) in history.operations.iter().enumerate() {
        if !write.request.is_write() || write.outcome != Outcome::Ok {
            continue;
        }
        let mut superseding = history.timelines.promotions.iter().filter(|promotion| {
            promotion.began <= write.end
                && !is_undone_by_a_reset(history, promotion, write)
                && is_by_the_old_primary(promotion, write)
        });
        let found = superseding.find_map(|promotion| {
            let Promotion { region, before, timeline, done, .. } = promotion;
            if let Some(answer) = answer_with_new_timeline(history, promotion, write) {
                let instance = write.instance.as_deref().unwrap_or_default();
                let detail = format!(
                    "the app in {instance} had shown timeline {timeline}, and wrote to {before}"
                );
                return Some((detail, vec![answer, index]));
            }
            let late = write.start.saturating_sub(*done).as_secs_f64();
            let detail =
                format!("{before} took it {late:.1} s after {region} began timeline {timeline}");
            had_time_to_notice(history, promotion, write).then(|| (detail, vec![index]))
        });
        if let Some((detail, operations)) = found {
            analysis.add(Anomaly::WriteToOldPrimary, detail, operations);
        }
    }
}

/// Whether the primary's data was replaced between the two: then timelines begin anew.
fn is_undone_by_a_reset(history: &History, promotion: &Promotion, write: &Operation) -> bool {
    history.resets.iter().any(|it| promotion.began <= it.done && it.began <= write.end)
}

/// Whether the primary before this promotion took the write, by the answer's position or by its
/// server's name. The name alone tells if the client carried a position of the new timeline, or if
/// the answer has no position.
fn is_by_the_old_primary(promotion: &Promotion, write: &Operation) -> bool {
    let by_name = write.database() == Some(&promotion.before) && write.end <= promotion.settled;
    by_name || write.position.is_some_and(|position| position.timeline < promotion.timeline)
}

/// An answer before the write by which the same instance showed the new timeline. A restarted
/// instance has to learn the timeline again, and an answer from before the promotion showed another
/// database's.
fn answer_with_new_timeline(
    history: &History,
    promotion: &Promotion,
    write: &Operation,
) -> Option<usize> {
    let instance = write.instance.as_deref()?;
    history.operations.iter().position(|answer| {
        answer.instance.as_deref() == Some(instance)
            && promotion.began <= answer.end
            && answer.end <= write.start
            && answer.position.is_some_and(|position| position.timeline >= promotion.timeline)
            && !Window::new(history, answer.start, write.end).has_app_restart_in(instance)
    })
}

/// Whether every instance could reach the new primary for [`MARGIN`] before the write began, in
/// which this process ran.
fn had_time_to_notice(history: &History, promotion: &Promotion, write: &Operation) -> bool {
    let since = Window::new(history, promotion.done, write.end);
    promotion.done + MARGIN + since.stalled() < write.start
        && since.is_up(&promotion.region)
        && history.regions.iter().all(|region| since.is_connected(region, &promotion.region))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::check::Anomaly;
    use crate::check::fixtures::{HistoryBuilder, REGISTER, at, operation};
    use crate::history::{Operation, Outcome};
    use crate::nemesis::{Fault, Promotion};
    use crate::workload::Request;

    /// ord is promoted at 3 s, and nrt keeps running for 9 s.
    fn split_brain() -> HistoryBuilder {
        let mut history = HistoryBuilder::new();
        let promotion = Promotion::at_second(3, "ord", 2);
        history.promoted(Promotion { settled: Duration::from_secs(12), ..promotion }, 50);
        history
    }

    #[test]
    fn instances_notice_a_promotion_in_time() {
        let mut history = split_brain();
        history.write(1, 6.0, 1, Some(at(1, 100)));
        history.assert_valid();
        history.write(1, 9.5, 2, Some(at(1, 200)));
        history.assert_violates(
            Anomaly::WriteToOldPrimary,
            "nrt took it 6.4 s after ord began timeline 2",
        );
        // An instance that got no processor time has that much longer.
        history.stall(4.0, 5.5);
        history.assert_valid();
        history.history.stalls.clear();
        // An instance that cannot reach the new primary cannot notice it.
        history.fault(Fault::Cut("nrt".to_owned(), "ord".to_owned()), 2.0, 9.0);
        history.assert_valid();
    }

    #[test]
    fn the_servers_name_shows_an_old_primary_without_a_position() {
        let mut history = split_brain();
        let write = operation(1, 9.5, Request::Create(REGISTER), Outcome::Ok);
        history.add(Operation {
            served_by: Some("ord; role=primary; reason=primary".to_owned()),
            ..write.clone()
        });
        history.assert_valid();
        history.add(Operation {
            served_by: Some("nrt; role=primary; reason=primary".to_owned()),
            ..write
        });
        history.assert_violates(
            Anomaly::WriteToOldPrimary,
            "nrt took it 6.4 s after ord began timeline 2",
        );
    }

    #[test]
    fn an_instance_that_showed_the_new_timeline_knows_it() {
        let mut history = split_brain();
        let by_ams = |operation: Operation, timeline| Operation {
            instance: Some("ams".to_owned()),
            position: Some(at(timeline, 100)),
            ..operation
        };
        // A former database had a timeline of that number as well.
        history.add(by_ams(operation(2, 1.0, Request::List, Outcome::Ok), 2));
        let write = operation(1, 4.5, Request::Create(REGISTER), Outcome::Ok);
        history.add(by_ams(write, 1));
        history.add(by_ams(operation(2, 4.6, Request::List, Outcome::Ok), 2));
        history.assert_valid();
        history.add(by_ams(operation(1, 5.0, Request::Update(REGISTER, 2), Outcome::Ok), 1));
        history.assert_violates(
            Anomaly::WriteToOldPrimary,
            "the app in ams had shown timeline 2, and wrote to nrt",
        );
        history.fault(Fault::RestartApp("ams".to_owned()), 4.7, 4.8);
        history.assert_valid();
    }
}
