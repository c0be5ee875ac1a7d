//! Which member is the primary: a pure decision from what the members have reported. Each process
//! decides by itself; members do not vote.

use crate::server::{ServerIdentity, ServerReport};

/// What a member has replied to an interview.
pub(super) type Reply = (ServerIdentity, ServerReport);

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

/// Elects the writable member on the newest timeline, by what each member last replied. None where
/// no member of the database is writable. Where one database plays several regions, the present
/// leader stays.
pub(super) fn elect(replies: &[Option<Reply>], known: Known) -> Option<Elected> {
    let system = match known.system {
        0 => system_of_most(replies, known.leader)?,
        system => system,
    };
    let timeline_of =
        |report: &ServerReport| if known.compares_timelines { report.timeline } else { 1 };
    replied(replies)
        .filter(|(_, identity, report)| identity.system == system && !report.is_replica)
        .map(|(index, _, report)| Elected { system, index, timeline: timeline_of(&report) })
        .max_by_key(|elected| (elected.timeline, elected.index == known.leader))
}

/// The database that most members belong to; in a tie, the one of the present leader.
fn system_of_most(replies: &[Option<Reply>], leader: usize) -> Option<u64> {
    let members_of =
        |system: u64| replied(replies).filter(|(_, identity, _)| identity.system == system).count();
    replied(replies)
        .map(|(index, identity, _)| (members_of(identity.system), index == leader, identity.system))
        .max()
        .map(|(_, _, system)| system)
}

fn replied(
    replies: &[Option<Reply>],
) -> impl Iterator<Item = (usize, ServerIdentity, ServerReport)> {
    let replies = replies.iter().enumerate();
    replies.filter_map(|(index, reply)| reply.map(|(identity, report)| (index, identity, report)))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// What a member replies: its system identifier, whether it is a replica, and its timeline.
    type Short = Option<(u64, bool, u32)>;

    /// The index and the timeline of the winner.
    type Winner = Option<(usize, u32)>;

    const SILENT: Short = None;
    const PRIMARY: Short = Some((7, false, 1));
    const REPLICA: Short = Some((7, true, 1));
    const PROMOTED: Short = Some((7, false, 2));
    const FOREIGN: Short = Some((8, false, 9));

    fn elected(replies: &[Short], known: Known) -> Winner {
        let reply = |&(system, is_replica, timeline): &(u64, bool, u32)| {
            let identity = ServerIdentity { system, started: 0, sees_timelines: true };
            let asked = Instant::now();
            let report = ServerReport { is_replica, timeline, lsn: 1, commit_age: None, asked };
            (identity, report)
        };
        let replies: Vec<_> = replies.iter().map(|short| short.as_ref().map(reply)).collect();
        elect(&replies, known).map(|elected| (elected.index, elected.timeline))
    }

    #[test]
    fn who_is_elected() {
        // Member 0 leads; the system is known or not; who is elected, and on which timeline.
        let table: [(&str, &[Short], u64, Winner); 9] = [
            ("nothing has replied", &[SILENT, SILENT], 7, None),
            ("only replicas", &[SILENT, REPLICA], 7, None),
            ("the primary", &[PRIMARY, REPLICA], 7, Some((0, 1))),
            ("a promoted replica", &[SILENT, PROMOTED], 7, Some((1, 2))),
            ("the newer of two", &[PRIMARY, PROMOTED], 7, Some((1, 2))),
            ("one database for all regions", &[PRIMARY, PRIMARY], 7, Some((0, 1))),
            ("a foreign database", &[REPLICA, FOREIGN], 7, None),
            ("the database of most", &[FOREIGN, PRIMARY, REPLICA], 0, Some((1, 1))),
            ("in a tie the leader's database", &[PRIMARY, FOREIGN], 0, Some((0, 1))),
        ];
        for (story, replies, system, expected) in table {
            let known = Known { system, leader: 0, compares_timelines: true };
            assert_eq!(elected(replies, known), expected, "{story}");
        }
    }

    #[test]
    fn without_timelines_the_leader_stays() {
        let known = Known { system: 7, leader: 0, compares_timelines: false };
        assert_eq!(elected(&[PRIMARY, PROMOTED], known), Some((0, 1)));
    }
}
