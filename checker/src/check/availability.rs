//! No read fails, and none is marked as stale, while a server that could serve it can be reached.
//!
//! A server counts only if it certainly could: from [`MARGIN`] before the read to its end it was up
//! and connected. The primary is always fresh enough. A replica is if it had replayed everything
//! that the client had seen and, for a read that must not be stale, replicated all the time.

use super::window::Window;
use super::{Analysis, Anomaly, MARGIN};
use crate::history::{History, Operation, Outcome, Position};

pub(super) fn check(history: &History, analysis: &mut Analysis) {
    for (index, read) in history.operations.iter().enumerate() {
        let window = Window::new(history, read.start.saturating_sub(MARGIN), read.end);
        // After a restart it is uncertain which instance took the request.
        if read.request.is_write() || window.has_app_restart() || window.has_stall() {
            continue;
        }
        let is_reachable =
            |region: &str| window.is_up(region) && window.is_connected(&read.region, region);
        let primary = window.primary().filter(|region| is_reachable(region));
        let is_late = read.end.saturating_sub(read.start) > MARGIN;
        match read.outcome {
            Outcome::Ok if !is_late => {
                if let Some(primary) = primary
                    && read.stale().is_some()
                {
                    analysis.add(
                        Anomaly::NeedlesslyStale,
                        format!("marked as stale, while {primary} could be reached"),
                        [index],
                    );
                }
            }
            Outcome::Ok | Outcome::Failed | Outcome::Unknown => {
                let replica = || {
                    let has_all_rights = window.has_all_rights();
                    history.regions.iter().map(String::as_str).find(|region| {
                        has_all_rights
                            && is_reachable(region)
                            && (read.request.allows_stale() || window.is_replicating(region))
                            && had_replayed_enough(history, read, region)
                    })
                };
                if let Some(region) = primary.or_else(replica) {
                    let answer = match read.status {
                        _ if read.outcome == Outcome::Ok => "a late answer".to_owned(),
                        Some(status) => status.to_string(),
                        None => "no answer".to_owned(),
                    };
                    analysis.add(
                        Anomaly::NeedlesslyFailed,
                        format!("{answer}, while {region} could be reached and was fresh enough"),
                        [index],
                    );
                }
            }
        }
    }
}

/// Whether the server in `region` had replayed everything that the client had seen before the read,
/// and was up ever since.
fn had_replayed_enough(history: &History, read: &Operation, region: &str) -> bool {
    // An answer that was not whole yet when the read was sent may have given its cookies already.
    let earlier =
        history.operations.iter().filter(|it| it.client == read.client && it.start < read.start);
    let seen: Vec<Position> = earlier.filter_map(|it| it.position).collect();
    // The app sends a client whose position a promotion discarded to the primary. A position of
    // another database tells nothing.
    let timelines = &history.timelines;
    if seen.iter().any(|it| it.system != timelines.last.system)
        || seen.last().is_some_and(|last| timelines.lost_at(*last).is_some())
    {
        return false;
    }
    let includes_all = |replayed: Position| {
        let survived =
            seen.iter().filter(|position| history.timelines.lost_at(**position).is_none());
        survived.into_iter().all(|position| history.timelines.includes(replayed, *position))
    };
    let mut samples = history.samples.iter().filter(|sample| {
        sample.at <= read.start && sample.region == region && includes_all(sample.position)
    });
    samples.any(|sample| Window::new(history, sample.at, read.end).is_up(region))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::check::Anomaly;
    use crate::check::fixtures::{HistoryBuilder, REGISTER, at, operation};
    use crate::history::Outcome;
    use crate::nemesis::Fault;
    use crate::workload::Request;

    fn failed_read(history: &mut HistoryBuilder, seconds: f64) {
        history.add(operation(1, seconds, Request::Read(REGISTER), Outcome::Failed));
    }

    #[test]
    fn no_read_fails_while_all_servers_are_up() {
        let mut history = HistoryBuilder::new();
        failed_read(&mut history, 9.0);
        history.assert_violates(
            Anomaly::NeedlesslyFailed,
            "503, while nrt could be reached and was fresh enough",
        );
    }

    #[test]
    fn a_read_may_fail_while_all_servers_are_down() {
        let mut history = HistoryBuilder::new();
        for region in ["nrt", "ord"] {
            history.fault(Fault::Kill(region.to_owned()), 8.0, 9.0);
        }
        failed_read(&mut history, 9.0);
        history.assert_valid();
        // Long after they came back it may not.
        failed_read(&mut history, 15.0);
        history.assert_violates(
            Anomaly::NeedlesslyFailed,
            "503, while nrt could be reached and was fresh enough",
        );
    }

    #[test]
    fn a_replica_that_has_what_the_client_saw_must_serve() {
        let mut history = HistoryBuilder::new();
        history.fault(Fault::Kill("nrt".to_owned()), 8.0, 20.0);
        history.write(1, 1.0, 1, Some(at(1, 100)));
        history.ends_with(REGISTER, 1);
        failed_read(&mut history, 9.0);
        history.sample(2.0, "ord", at(1, 90));
        history.assert_valid();
        history.sample(8.5, "ord", at(1, 100));
        history.assert_violates(
            Anomaly::NeedlesslyFailed,
            "503, while ord could be reached and was fresh enough",
        );
        history.fault(Fault::Cut("ord".to_owned(), "ams".to_owned()), 8.0, 20.0);
        history.assert_valid();
    }

    #[test]
    fn a_form_needs_a_replica_that_is_replicating() {
        let mut history = HistoryBuilder::new();
        history.write(1, 1.0, 1, Some(at(1, 100)));
        history.ends_with(REGISTER, 1);
        history.sample(8.5, "ord", at(1, 100));
        history.add(operation(1, 20.0, Request::EditForm(REGISTER), Outcome::Failed));
        history.fault(Fault::Cut("nrt".to_owned(), "ams".to_owned()), 8.0, 20.0);
        history.assert_violates(
            Anomaly::NeedlesslyFailed,
            "503, while ord could be reached and was fresh enough",
        );
        history.fault(Fault::PauseReplay("ord".to_owned()), 12.0, 16.0);
        history.assert_valid();
    }

    #[test]
    fn a_stall_excuses_a_failed_read_and_a_slow_line_does_not() {
        let mut history = HistoryBuilder::new();
        failed_read(&mut history, 9.0);
        let slow = Fault::Slow("nrt".to_owned(), "ams".to_owned(), Duration::from_millis(100));
        history.fault(slow, 1.0, 10.0);
        history.assert_violates(
            Anomaly::NeedlesslyFailed,
            "503, while nrt could be reached and was fresh enough",
        );
        history.stall(6.0, 7.0);
        history.assert_valid();
    }

    #[test]
    fn no_read_is_stale_while_the_primary_is_reachable() {
        let mut history = HistoryBuilder::new();
        history.read_from(1, 20.0, 0, "ord; role=replica; reason=local; stale=7s");
        history.assert_violates(
            Anomaly::NeedlesslyStale,
            "marked as stale, while nrt could be reached",
        );
        history.fault(Fault::Cut("nrt".to_owned(), "ams".to_owned()), 1.0, 19.0);
        history.assert_valid();
    }

    #[test]
    fn a_read_may_fail_while_an_instance_restarts() {
        let mut history = HistoryBuilder::new();
        history.fault(Fault::RestartApp("ord".to_owned()), 8.0, 9.0);
        history.fault(Fault::Lag("ord".to_owned(), Duration::from_secs(1)), 8.0, 9.0);
        failed_read(&mut history, 9.0);
        history.assert_valid();
    }
}
