//! The oldest version that a read may show: a client's own last write, what the client saw before,
//! and what was written more than `max_lag` ago.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::window::Window;
use super::{Analysis, Anomaly, SLACK};
use crate::history::{History, Operation, Outcome};
use crate::workload::{Register, Version};

/// The versions of each register, each with the operation that wrote or observed it, in order.
type Versions = HashMap<Register, Vec<(Version, usize)>>;

pub(super) fn check(history: &History, ambiguous: &HashSet<Register>, analysis: &mut Analysis) {
    let acknowledged = acknowledged(history);
    let mut observed_by = HashMap::<u32, Versions>::new();
    for (index, read) in history.operations.iter().enumerate() {
        let seen_before = observed_by.entry(read.client).or_default();
        let must_show_until = must_show_until(history, read);
        let is_judged = read.is_by_a_primary() || !history.may_show_replaced(read);
        let judged =
            read.observed.iter().filter(|(register, _)| is_judged && !ambiguous.contains(register));
        for (register, version) in judged {
            // The newest version above the observed one, from an operation that ended by `until`.
            // It does not count if a promotion may have discarded it by the end of this read.
            let newer = |versions: Option<&Vec<(Version, usize)>>, until: Duration| {
                let versions = versions.into_iter().flatten().filter(|(newer, other)| {
                    let other = &history.operations[*other];
                    newer > version
                        && other.end <= until
                        && !history.may_be_lost(other, read.end)
                        && !history.is_version_lost(*register, *newer, read.end)
                });
                versions.max().copied()
            };
            let written = acknowledged.get(register);
            if register.owner == read.client
                && let Some((own, write)) = newer(written, read.start)
            {
                analysis.add(
                    Anomaly::OwnWriteMissing,
                    format!("{register} shows v{version} to its owner, who wrote v{own}"),
                    [write, index],
                );
            } else if let Some((seen, earlier)) = newer(seen_before.get(register), read.start) {
                let client = read.client;
                analysis.add(
                    Anomaly::NonMonotonicRead,
                    format!("{register} shows v{version} to client {client}, who saw v{seen}"),
                    [earlier, index],
                );
            }
            if let Some((known, write)) = must_show_until.and_then(|until| newer(written, until)) {
                let age = read.start.saturating_sub(history.operations[write].end).as_secs_f64();
                let stated = read
                    .stale()
                    .map_or(String::new(), |stale| format!(", and the answer says {stale:?}"));
                analysis.add(
                    Anomaly::StaleRead,
                    format!("{register} shows v{version}, v{known} was {age:.1} s old{stated}"),
                    [write, index],
                );
            }
        }
        for (register, version) in &read.observed {
            seen_before.entry(*register).or_default().push((*version, index));
        }
    }
}

/// The read must show every write that ended by this time: `max_lag` before the read, or earlier by
/// the age that the answer states, and by the time that this process stalled since. `None` where the
/// answer states exactly `max_lag`, which a server does that does not know its age: any age is
/// allowed.
fn must_show_until(history: &History, read: &Operation) -> Option<Duration> {
    let allowed = match read.stale().filter(|_| read.request.allows_stale()) {
        None => history.max_lag,
        // The answer rounds down to whole seconds.
        Some(stated) if stated > history.max_lag => stated + Duration::from_secs(1),
        Some(_) => return None,
    };
    let mut until = read.start.checked_sub(allowed + SLACK)?;
    loop {
        let stalled = Window::new(history, until, read.end).stalled();
        let earlier = read.start.checked_sub(allowed + SLACK + stalled)?;
        if earlier == until {
            return Some(until);
        }
        until = earlier;
    }
}

fn acknowledged(history: &History) -> Versions {
    let mut versions = Versions::new();
    for (index, operation) in history.operations.iter().enumerate() {
        if operation.outcome == Outcome::Ok
            && let Some((register, version)) = operation.request.written()
        {
            versions.entry(register).or_default().push((version, index));
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use crate::check::Anomaly;
    use crate::check::fixtures::{HistoryBuilder, REGISTER, at};
    use crate::nemesis::{Fault, Promotion};

    /// Client 1 writes two versions, and both survive.
    fn two_versions() -> HistoryBuilder {
        let mut history = HistoryBuilder::new();
        history.write(1, 1.0, 1, None);
        history.write(1, 2.0, 2, None);
        history.ends_with(REGISTER, 2);
        history
    }

    #[test]
    fn clients_read_their_own_writes() {
        let mut history = two_versions();
        history.read(1, 2.9, 2, None);
        history.assert_valid();
        history.read(1, 3.2, 0, None);
        history
            .assert_violates(Anomaly::OwnWriteMissing, "c1 r1 shows v0 to its owner, who wrote v2");
    }

    #[test]
    fn reads_of_a_client_are_monotonic() {
        let mut history = two_versions();
        // Clients 2 and 3 may see the versions in different order of time.
        history.read(2, 2.1, 1, None);
        history.read(3, 2.2, 2, None);
        history.read(2, 2.3, 2, None);
        history.assert_valid();
        history.read(3, 2.4, 1, None);
        history
            .assert_violates(Anomaly::NonMonotonicRead, "c1 r1 shows v1 to client 3, who saw v2");
    }

    #[test]
    fn reads_need_not_show_what_a_promotion_discarded() {
        let mut history = HistoryBuilder::new();
        history.write(1, 1.0, 1, Some(at(1, 100)));
        history.write(1, 2.0, 2, Some(at(1, 200)));
        history.read(2, 2.5, 2, Some(at(1, 200)));
        history.ends_with(REGISTER, 1);
        history.promoted(Promotion::at_second(3, "ord", 2), 150);
        history.read(1, 9.0, 1, Some(at(2, 300)));
        history.read(2, 9.0, 1, Some(at(2, 300)));
        history.assert_valid();
        // Before the promotion it was there.
        history.read(1, 2.9, 1, Some(at(1, 100)));
        history
            .assert_violates(Anomaly::OwnWriteMissing, "c1 r1 shows v1 to its owner, who wrote v2");
    }

    #[test]
    fn a_reset_is_noticed_within_seconds() {
        let mut history = HistoryBuilder::new();
        history.write(1, 1.0, 1, None);
        history.put_back(3.0);
        history.write(1, 7.0, 2, None);
        // From a replica that holds the replaced history.
        history.read(1, 7.5, 1, None);
        history.ends_with(REGISTER, 2);
        history.assert_valid();
        history.read(1, 8.5, 1, None);
        history
            .assert_violates(Anomaly::OwnWriteMissing, "c1 r1 shows v1 to its owner, who wrote v2");
    }

    #[test]
    fn a_marked_read_is_no_older_than_it_states() {
        let mut history = two_versions();
        history.fault(Fault::Kill("nrt".to_owned()), 3.0, 20.0);
        history.read_from(2, 9.0, 1, "ord; role=replica; reason=local; stale=6s");
        // A server that states `max_lag` does not know its age.
        history.read_from(2, 9.0, 1, "ord; role=replica; reason=local; stale=2s");
        history.assert_valid();
        history.read_from(2, 9.0, 1, "ord; role=replica; reason=local; stale=4s");
        history.assert_violates(
            Anomaly::StaleRead,
            "c1 r1 shows v1, v2 was 6.9 s old, and the answer says 4s",
        );
    }

    #[test]
    fn an_unmarked_read_is_no_older_than_max_lag() {
        let mut history = two_versions();
        history.read(2, 4.3, 1, None);
        history.assert_valid();
        history.fault(Fault::Kill("nrt".to_owned()), 6.0, 9.0);
        history.read_from(3, 9.0, 1, "ord; role=replica; reason=local; stale=7s");
        history.assert_valid();
        history.read(4, 9.0, 1, None);
        history.assert_violates(Anomaly::StaleRead, "c1 r1 shows v1, v2 was 6.9 s old");
        history.stall(4.0, 8.9);
        history.assert_valid();
    }
}
