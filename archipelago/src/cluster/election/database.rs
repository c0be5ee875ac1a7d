//! To which database the members belong.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::Known;
use super::candidates::is_followed;
use crate::cluster::record::{MemberRecord, Reply};

/// How long a silent member of the known database keeps another one from being adopted: longer than
/// a lost connection, and shorter than the 10 s within which a restored database is in use.
const MISSED: Duration = Duration::from_secs(5);

/// The database of the members. At the start the one whose primary is followed in the leader's place,
/// else that of most servers. Later the known one, until no server of it is left but replicas that
/// receive nothing; one that fell silent a moment ago is left. Then another one that takes writes: in
/// the leader's place, or with most members.
pub(super) fn system_of(records: &[MemberRecord], known: &Known, now: Instant) -> u64 {
    let answers = || {
        let answers = records.iter().enumerate();
        answers.filter_map(|(index, record)| Some((index, record.answer()?)))
    };
    let of = |system: u64| answers().filter(move |(_, it)| it.identity.system == system);
    let leader = known.leader.map_or(known.declared, |leader| leader.index);
    // One server may play several regions.
    let count = |system: u64| {
        let started: HashSet<i64> = of(system).map(|(_, it)| it.identity.started).collect();
        started.len()
    };
    // The database of most servers; in a tie, that of the leader.
    let weight = |(index, reply): &(usize, Reply)| {
        let system = reply.identity.system;
        let is_in_place = *index == leader;
        let is_followed = is_in_place
            && !reply.report.is_replica
            && is_followed(records, system, *reply, None)
            && known.leader.is_none_or(|leader| leader.proven_on.is_none());
        (is_followed, count(system), is_in_place)
    };
    let is_proven = known.leader.is_some_and(|leader| leader.proven_on.is_some());
    if !is_proven || known.system == 0 {
        // The login role may see it on some connections only: the right was given or taken meanwhile.
        let told = answers().filter(|(_, it)| it.identity.system != 0);
        return told.max_by_key(weight).map_or(known.system, |(_, it)| it.identity.system);
    }
    let is_alive = |reply: Reply| !reply.report.is_replica || reply.report.is_streaming;
    let mut heard = records.iter().filter_map(|record| record.heard_within(MISSED, now));
    if heard.any(|reply| reply.is_of(known.system) && is_alive(reply)) {
        return known.system;
    }
    let left = count(known.system);
    let others = answers().filter(|(_, it)| !it.is_of(known.system) && !it.report.is_replica);
    let best = others.max_by_key(weight).filter(|other| {
        let (_, count, is_in_place) = weight(other);
        count > left && (is_in_place || count * 2 > records.len())
    });
    best.map_or(known.system, |(_, it)| it.identity.system)
}
