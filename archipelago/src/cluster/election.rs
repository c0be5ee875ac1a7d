//! Which member is the primary: a pure decision from what the members have reported.

use crate::server::{ServerIdentity, ServerReport};

/// What a member has answered to an interview.
pub(super) type Answer = (ServerIdentity, ServerReport);

/// What is known before an election.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// The system identifier of the members; 0 while it is unknown.
    pub(super) system: u64,
    /// The index of the member that leads.
    pub(super) leader: usize,
    /// Whether timelines count. A test may switch that off.
    pub(super) compares_timelines: bool,
}

/// The winner of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Elected {
    pub(super) system: u64,
    pub(super) index: usize,
    pub(super) timeline: u32,
}

/// Elects the writable member on the newest timeline, by what each member last answered. None where
/// no member of the database is writable. Where one database plays several regions, the present
/// leader stays.
pub(super) fn elect(answers: &[Option<Answer>], known: Known) -> Option<Elected> {
    let system = match known.system {
        0 => system_of_most(answers, known.leader)?,
        system => system,
    };
    let timeline_of =
        |report: &ServerReport| if known.compares_timelines { report.timeline } else { 1 };
    answered(answers)
        .filter(|(_, identity, report)| identity.system == system && !report.is_replica)
        .map(|(index, _, report)| Elected { system, index, timeline: timeline_of(&report) })
        .max_by_key(|elected| (elected.timeline, elected.index == known.leader))
}

/// The database that most members belong to; in a tie, the one of the present leader.
fn system_of_most(answers: &[Option<Answer>], leader: usize) -> Option<u64> {
    let members_of = |system: u64| {
        answered(answers).filter(|(_, identity, _)| identity.system == system).count()
    };
    answered(answers)
        .map(|(index, identity, _)| (members_of(identity.system), index == leader, identity.system))
        .max()
        .map(|(_, _, system)| system)
}

fn answered(
    answers: &[Option<Answer>],
) -> impl Iterator<Item = (usize, ServerIdentity, ServerReport)> {
    let answers = answers.iter().enumerate();
    answers.filter_map(|(index, answer)| answer.map(|(identity, report)| (index, identity, report)))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn answer(system: u64, is_replica: bool, timeline: u32) -> Answer {
        let identity = ServerIdentity { system, started: 0, sees_timelines: true };
        let asked = Instant::now();
        let report = ServerReport { is_replica, timeline, lsn: 1, commit_age: None, asked };
        (identity, report)
    }

    fn primary(timeline: u32) -> Option<Answer> {
        Some(answer(7, false, timeline))
    }

    fn replica(timeline: u32) -> Option<Answer> {
        Some(answer(7, true, timeline))
    }

    #[test]
    fn who_is_elected() {
        let foreign = Some(answer(8, false, 9));
        // Member 0 leads; the system is known or not; who is elected, and on which timeline.
        let table = [
            ("nothing has answered", vec![None, None], 7, None),
            ("only replicas", vec![None, replica(1)], 7, None),
            ("the primary", vec![primary(1), replica(1)], 7, Some((0, 1))),
            ("a promoted replica", vec![None, primary(2)], 7, Some((1, 2))),
            ("the newer of two", vec![primary(1), primary(2)], 7, Some((1, 2))),
            ("one database for all regions", vec![primary(1), primary(1)], 7, Some((0, 1))),
            ("a foreign database", vec![replica(1), foreign], 7, None),
            ("the database of most", vec![foreign, primary(1), replica(1)], 0, Some((1, 1))),
            ("in a tie the leader's database", vec![primary(1), foreign], 0, Some((0, 1))),
        ];
        for (story, answers, system, expected) in table {
            let known = Known { system, leader: 0, compares_timelines: true };
            let elected = elect(&answers, known).map(|elected| (elected.index, elected.timeline));
            assert_eq!(elected, expected, "{story}");
        }
    }

    #[test]
    fn without_timelines_the_leader_stays() {
        let known = Known { system: 7, leader: 0, compares_timelines: false };
        let elected = elect(&[primary(1), primary(2)], known);
        assert_eq!(elected, Some(Elected { system: 7, index: 0, timeline: 1 }));
    }
}
