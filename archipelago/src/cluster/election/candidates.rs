//! The members that take writes, and the evidence for each.

use std::time::Instant;

use super::{Elected, Known};
use crate::cluster::record::{MemberRecord, Reply};

/// A member that takes writes.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is evidence of its own")]
pub(super) struct Candidate {
    pub(super) elected: Elected,
    pub(super) leads: bool,
    pub(super) is_declared: bool,
    pub(super) answers: bool,
    pub(super) was_promoted: bool,
    /// Whether a replica follows it now.
    pub(super) is_followed: bool,
    pub(super) followers: Option<u32>,
}

impl Candidate {
    /// Whether it leads, and was promoted or restored in place since it was proven.
    pub(super) fn sits(&self) -> bool {
        self.leads && self.answers && self.elected.proven_on.is_some() && !self.elected.is_proven()
    }

    /// Whether it is proven, and not on an older timeline than `sitting` was; or than `sitting` is,
    /// where that one went back.
    pub(super) fn is_rival_of(&self, sitting: &Self) -> bool {
        let Elected { timeline, .. } = self.elected;
        let is_newer =
            Some(timeline) >= sitting.elected.proven_on || timeline > sitting.elected.timeline;
        self.elected.is_proven() && is_newer
    }
}

/// The members that take writes: those that answer, and the leader if it did a moment ago.
pub(super) fn candidates(records: &[MemberRecord], known: &Known, now: Instant) -> Vec<Candidate> {
    // Promoted or restored in place. What a replica said before says nothing of the others.
    let moved = known.leader.and_then(|leader| {
        let reply = records[leader.index].answer().filter(|reply| !reply.report.is_replica)?;
        (reply.report.timeline > leader.proven_on?).then_some((leader.index, reply.report.asked))
    });
    let candidate = |(index, record): (usize, &MemberRecord)| {
        let leader = known.leader.filter(|leader| leader.index == index);
        let answer = record.answer();
        let reply = answer.or_else(|| leader.and_then(|_| record.recent(now)))?;
        let Reply { identity, report } = reply;
        if report.is_replica || !reply.is_of(known.system) {
            return None;
        }
        let since = moved.filter(|(leader, _)| *leader != index).map(|(_, asked)| asked);
        // A replica that streams its timeline and is ahead of it follows another one: that is no news
        // where a copy beside it is streamed.
        let is_passed = records.iter().any(|record| {
            let streams =
                |it: Reply| it.report.is_streaming && it.report.timeline == report.timeline;
            replica(record, known.system).is_some_and(streams) && record.is_ahead_of(reply)
        });
        let own = (report.timeline, identity.started);
        let mut answers = records.iter().filter_map(MemberRecord::answer);
        let is_refuted =
            is_passed && !answers.any(|other| is_streamed_second(other, known.system, own));
        let timeline = report.timeline;
        let is_followed = is_followed(records, known.system, reply, since)
            && (index == known.declared || may_replace_declared(records, known, timeline));
        let before = leader.filter(|_| !is_refuted);
        let on = |holds: bool| holds.then_some(timeline);
        let followed_on = on(is_followed).or(before.and_then(|leader| leader.followed_on));
        let proven_on =
            on(record.was_promoted || is_followed).or(before.and_then(|leader| leader.proven_on));
        let started = identity.started;
        let elected = Elected { index, timeline, started, proven_on, followed_on };
        Some(Candidate {
            elected,
            leads: leader.is_some(),
            is_declared: index == known.declared,
            answers: answer.is_some(),
            was_promoted: record.was_promoted,
            is_followed,
            followers: report.followers,
        })
    };
    records.iter().enumerate().filter_map(candidate).collect()
}

/// Whether a replica streams the timeline of `primary`, as it replied after `since`, and is not known
/// to be ahead of it (then it follows another one), and `primary` does not say that no standby streams
/// from it.
pub(super) fn is_followed(
    records: &[MemberRecord],
    system: u64,
    primary: Reply,
    since: Option<Instant>,
) -> bool {
    let takes_writes = |reply: &Reply| reply.is_of(system) && !reply.report.is_replica;
    let writable = records.iter().filter_map(MemberRecord::answer).filter(takes_writes);
    let newest = writable.map(|reply| reply.report.timeline).max().unwrap_or_default();
    let is_streamed = primary.report.followers != Some(0);
    is_streamed
        && records.iter().any(|record| {
            replica(record, system).is_some_and(|reply| {
                // Without the right to see it, a replica may name an older timeline than it streams.
                let timeline = primary.report.timeline;
                let is_known = reply.identity.sees_timelines || newest <= timeline;
                let is_same = reply.report.timeline == timeline && is_known;
                let is_recent = since.is_none_or(|since| reply.report.asked > since);
                reply.report.is_streaming && is_same && is_recent && !record.is_ahead_of(primary)
            })
        })
}

/// Whether a reply is of another server than the one on `timeline` that was started then, takes writes
/// on that timeline, and says that standbys stream from it.
pub(super) fn is_streamed_second(
    reply: Reply,
    system: u64,
    (timeline, started): (u32, i64),
) -> bool {
    let Reply { identity, report } = reply;
    reply.is_of(system)
        && !report.is_replica
        && report.timeline == timeline
        && identity.started != started
        && report.followers.is_some_and(|count| count > 0)
}

/// The last answer of a replica of the database.
pub(super) fn replica(record: &MemberRecord, system: u64) -> Option<Reply> {
    record.answer().filter(|reply| reply.is_of(system) && reply.report.is_replica)
}

/// The newest timeline that a replica streams; the primary that it follows may not answer.
pub(super) fn newest_followed(records: &[MemberRecord], system: u64) -> u32 {
    let replicas = records.iter().filter_map(|record| replica(record, system));
    replicas.filter(|it| it.report.is_streaming).map(|it| it.report.timeline).max().unwrap_or(0)
}

/// One server may play several regions.
pub(super) fn is_same_server(one: &Candidate, other: &Candidate) -> bool {
    one.elected.started == other.elected.started
}

/// Whether a primary on `timeline` may have replaced the declared one. While that one refuses to
/// answer, it may be the one that replicas follow. While it is silent, or takes writes on timeline 1
/// itself, a promotion must have made the timeline, and a promotion never makes timeline 1.
pub(super) fn may_replace_declared(records: &[MemberRecord], known: &Known, timeline: u32) -> bool {
    let declared = &records[known.declared];
    let is_first = |reply: Reply| {
        reply.is_of(known.system) && !reply.report.is_replica && reply.report.timeline == 1
    };
    !declared.is_refusing
        && (timeline > 1 || declared.answer().is_some_and(|reply| !is_first(reply)))
}
