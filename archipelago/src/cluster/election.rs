//! Who is the primary: a pure decision from what every member last said and what was known before.
//! Each process decides by itself; members do not vote.
//!
//! The decision weighs evidence, because a server that takes writes need not be the primary: it may
//! be a copy, a restored backup, an old primary, or a replica that lost its `standby.signal`.
//!
//! 1. A primary is *proven* if this process saw its promotion, if a replica streams its timeline
//!    and it does not say that no standby streams from it, or if it leads on that timeline already
//!    and was proven there. Of the proven ones the newest timeline leads.
//! 2. Without a proven one, a leader that was proven on an older timeline stays: it was promoted or
//!    restored in place. Else the newest timeline leads for the time being, unless the primary of
//!    regions.toml is silent and the other could never have been promoted.
//! 3. Beside a leader that was proven on its timeline, another primary on that one is a copy, as a
//!    promotion makes a newer timeline: it does not lead, however long the leader is silent, unless
//!    the leader has left that timeline, or was never followed there and this one is.
//! 4. Of two that were promoted to one timeline, or of two unproven ones on it, the one leads that
//!    alone is followed. Without such a one no member leads, but on timeline 1 the primary of
//!    regions.toml does.
//! 5. A process that knows no proven leader takes no primary that says that no standby streams from
//!    it, while a replica has more than it or streams from another server, and a member that may be
//!    that one is silent or takes writes as well.
//! 6. The timeline never goes back, unless all members answer and none knows the newer one.
//! 7. While a second primary on the leader's timeline says that standbys stream from it, replicas may
//!    show its history: they are unfit.
//!
//! Where a login role may not see who streams from a server, the number and the place decide: a
//! replica that streams a timeline proves each primary on it, and of two the leader stays, else the
//! primary of regions.toml leads.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::record::{MemberRecord, Reply};
use crate::error::{DownReason, NoPrimary};
use crate::settings::{Safeguard, Safeguards};

/// How long a silent member of the known database keeps another one from being adopted: longer than
/// a lost connection, and shorter than the 10 s within which a restored database is in use.
const MISSED: Duration = Duration::from_secs(5);

/// What is known before an election.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The system identifier of the members; 0 while it is unknown.
    pub(super) system: u64,
    /// The member that leads. It stays known while no member leads.
    pub(super) leader: Option<Elected>,
    /// The newest timeline that was proven.
    pub(super) newest: u32,
    /// The index of the primary of regions.toml.
    pub(super) declared: usize,
    /// Whether another member than the declared one may lead.
    pub(super) follows_promotions: bool,
    /// A test may switch rules off.
    pub(super) safeguards: Safeguards,
}

impl Known {
    /// What is known, once the members belong to the database `system`. Of a former one nothing is
    /// left but who led it, as the new one may be restored in its place.
    pub(super) fn in_database(self, system: u64) -> Self {
        if self.system == 0 || self.system == system {
            return Self { system, ..self };
        }
        let leader =
            self.leader.map(|leader| Elected { proven_on: None, followed_on: None, ..leader });
        Self { system, leader, newest: 0, ..self }
    }
}

/// The winner of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Elected {
    pub(super) index: usize,
    pub(super) timeline: u32,
    /// When its server was started, in microseconds of its own clock.
    pub(super) started: i64,
    /// The last of its timelines that was proven while it led.
    pub(super) proven_on: Option<u32>,
    /// The last of its timelines on which it was seen to be followed.
    pub(super) followed_on: Option<u32>,
}

impl Elected {
    /// Whether its timeline is proven.
    pub(super) fn is_proven(&self) -> bool {
        self.proven_on == Some(self.timeline)
    }
}

/// The result of an election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) system: u64,
    pub(super) leader: Result<Elected, NoPrimary>,
    pub(super) newest: u32,
    /// Why each member may serve neither reads nor writes. None where it may.
    pub(super) unfit: Vec<Option<DownReason>>,
}

/// A member that takes writes.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is evidence of its own")]
struct Candidate {
    elected: Elected,
    leads: bool,
    is_declared: bool,
    answers: bool,
    was_promoted: bool,
    /// Whether a replica follows it now.
    is_followed: bool,
    followers: Option<u32>,
}

impl Candidate {
    /// Whether it leads, and was promoted or restored in place since it was proven.
    fn sits(&self) -> bool {
        self.leads && self.answers && self.elected.proven_on.is_some() && !self.elected.is_proven()
    }

    /// Whether it is proven, and not on an older timeline than `sitting` was.
    fn is_rival_of(&self, sitting: &Self) -> bool {
        self.elected.is_proven() && Some(self.elected.timeline) >= sitting.elected.proven_on
    }
}

/// Elects the primary by what each member last said.
pub(super) fn elect(records: &[MemberRecord], known: &Known, now: Instant) -> Outcome {
    let system = system_of(records, known, now);
    let known = known.clone().in_database(system);
    let candidates = candidates(records, &known, now);
    let newest = known.newest.max(newest_followed(records, system));
    let leader = choose(records, &candidates, &known)
        .and_then(|elected| with_newest(records, &known, newest, elected));
    let newest = match &leader {
        Ok(elected) if elected.timeline < newest => elected.timeline,
        Ok(elected) if elected.is_proven() => newest.max(elected.timeline),
        _ => newest,
    };
    let unfit = |index| unfit(records, index, &known, &leader, now);
    let unfit = (0..records.len()).map(unfit).collect();
    Outcome { system, leader, newest, unfit }
}

/// The database of the members. At the start the one whose primary is followed in the leader's place,
/// else that of most servers. Later the known one, until no server of it is left but replicas that
/// receive nothing; one that fell silent a moment ago is left. Then another one that takes writes: in
/// the leader's place, or with most members.
fn system_of(records: &[MemberRecord], known: &Known, now: Instant) -> u64 {
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
    if known.leader.is_none_or(|leader| leader.proven_on.is_none()) {
        return answers().max_by_key(weight).map_or(known.system, |(_, it)| it.identity.system);
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

/// The members that take writes: those that answer, and the leader if it did a moment ago.
fn candidates(records: &[MemberRecord], known: &Known, now: Instant) -> Vec<Candidate> {
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
        let is_refuted = records.iter().any(|record| {
            let streams =
                |it: Reply| it.report.is_streaming && it.report.timeline == report.timeline;
            replica(record, known.system).is_some_and(streams) && record.is_ahead_of(reply)
        }) && !has_streamed_second(records, known.system, reply);
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
fn is_followed(
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

/// Whether another server takes writes on the timeline of `primary`, and says that it is streamed.
fn has_streamed_second(records: &[MemberRecord], system: u64, primary: Reply) -> bool {
    records.iter().filter_map(MemberRecord::answer).any(|other| {
        let Reply { identity, report } = other;
        other.is_of(system)
            && !report.is_replica
            && report.timeline == primary.report.timeline
            && identity.started != primary.identity.started
            && report.followers.is_some_and(|count| count > 0)
    })
}

/// The last answer of a replica of the database.
fn replica(record: &MemberRecord, system: u64) -> Option<Reply> {
    record.answer().filter(|reply| reply.is_of(system) && reply.report.is_replica)
}

/// The newest timeline that a replica streams; the primary that it follows may not answer.
fn newest_followed(records: &[MemberRecord], system: u64) -> u32 {
    let replicas = records.iter().filter_map(|record| replica(record, system));
    replicas.filter(|it| it.report.is_streaming).map(|it| it.report.timeline).max().unwrap_or(0)
}

fn choose(
    records: &[MemberRecord],
    candidates: &[Candidate],
    known: &Known,
) -> Result<Elected, NoPrimary> {
    if !known.follows_promotions {
        let declared = candidates.iter().find(|candidate| candidate.is_declared);
        return declared.map(|it| it.elected).ok_or(NoPrimary::NoneWritable);
    }
    let weighs = known.safeguards.has(Safeguard::Evidence);
    if let Some(sitting) = candidates.iter().find(|it| weighs && it.sits())
        && !candidates.iter().any(|it| it.is_rival_of(sitting))
    {
        return Ok(sitting.elected);
    }
    let is_barred = |candidate: &&Candidate| weighs && is_copy(records, known, candidate);
    let others = candidates.iter().filter(|candidate| !is_barred(candidate));
    // A copy that is followed does not lead, and may be what the others are copies of.
    let must_be_proven = weighs && candidates.iter().any(|it| it.elected.is_proven());
    let eligible = others.filter(|candidate| {
        if must_be_proven { candidate.elected.is_proven() } else { candidate.answers }
    });
    if let (None, Some(copy)) = (eligible.clone().next(), candidates.iter().find(is_barred)) {
        let Elected { index, timeline, .. } = copy.elected;
        return Err(NoPrimary::Unproven { region: records[index].region, timeline });
    }
    let compares = known.safeguards.has(Safeguard::Timeline);
    let timeline = |candidate: &Candidate| if compares { candidate.elected.timeline } else { 1 };
    let newest = eligible.clone().map(timeline).max().ok_or(NoPrimary::NoneWritable)?;
    let contenders: Vec<_> = eligible.filter(|candidate| timeline(candidate) == newest).collect();
    let preferred = prefer(&contenders);
    let Some(Candidate { elected, leads, is_declared, .. }) = preferred else {
        let regions = contenders.iter().map(|it| records[it.elected.index].region).collect();
        return Err(NoPrimary::Contested { regions, timeline: newest });
    };
    let knows_proven = known.leader.is_some_and(|leader| leader.proven_on.is_some());
    let is_alone = candidates.len() == 1 && records.iter().all(|it| it.answer().is_some());
    if weighs
        && !elected.is_proven()
        && !knows_proven
        && !is_alone
        && let Some(replica) = left_behind(records, known.system, *elected)
    {
        let region = records[elected.index].region;
        return Err(NoPrimary::LeftBehind { region, timeline: elected.timeline, replica });
    }
    let is_trusted = elected.is_proven() || *leads || *is_declared;
    if weighs && !is_trusted && !may_be_promoted(records, known, *elected) {
        let region = records[elected.index].region;
        return Err(NoPrimary::Unproven { region, timeline: elected.timeline });
    }
    if weighs
        && !elected.is_proven()
        && !leads
        && let Some(regions) = unseen_rivals(records, candidates, known, *elected)
    {
        return Err(NoPrimary::Unseen { regions });
    }
    Ok(*elected)
}

/// Which of the primaries on one timeline leads. None where nothing tells.
fn prefer<'c>(contenders: &[&'c Candidate]) -> Option<&'c Candidate> {
    let followed: Vec<_> = contenders.iter().copied().filter(|it| it.is_followed).collect();
    // The leader stays where it was followed before, unless both were promoted and are followed.
    let is_rival = |leader: &Candidate, it: &Candidate| {
        let is_streamed = it.followers.is_some_and(|count| count > 0);
        let is_promoted = leader.was_promoted && it.was_promoted;
        is_promoted && is_streamed && it.is_followed && !is_same_server(leader, it)
    };
    let stays = |leader: &&Candidate| {
        let was_followed = leader.elected.followed_on == Some(leader.elected.timeline);
        leader.leads && was_followed && !followed.iter().any(|it| is_rival(leader, it))
    };
    let best = if followed.is_empty() { contenders } else { &*followed };
    let is_one = best.iter().all(|it| is_same_server(best[0], it));
    // Without the right to see who streams, the place decides.
    let may_choose = is_one || best.iter().any(|it| it.followers.is_none());
    let has_declared = best.iter().any(|it| it.is_declared);
    let leads =
        |it: &&Candidate| may_choose && it.leads && (it.elected.is_proven() || !has_declared);
    let is_declared = |it: &&Candidate| (may_choose || it.elected.timeline <= 1) && it.is_declared;
    let mut leader = contenders.iter().copied().filter(stays);
    let mut best = best.iter().copied();
    leader
        .next()
        .or_else(|| best.clone().find(leads))
        .or_else(|| best.clone().find(is_declared))
        .or_else(|| best.next().filter(|_| is_one))
}

/// Whether it takes writes on the timeline on which the known leader was proven. A promotion makes a
/// newer one, so it is a copy, or has lost its `standby.signal`; unless both were promoted apart, or
/// the leader has left that timeline, or was never followed there, and this one is.
fn is_copy(records: &[MemberRecord], known: &Known, candidate: &Candidate) -> bool {
    let Candidate { elected, leads, was_promoted, is_followed, .. } = candidate;
    let is_beside = |leader: Elected| {
        let on = Some(elected.timeline);
        let has_left = records[leader.index].answer().is_some_and(|Reply { report, .. }| {
            report.is_replica || report.timeline < elected.timeline
        });
        leader.proven_on == on
            && leader.started != elected.started
            && !has_left
            && !(*is_followed && leader.followed_on != on)
    };
    // 0: the login role may not see the timeline.
    elected.timeline > 0 && !leads && !was_promoted && known.leader.is_some_and(is_beside)
}

/// A replica that shows that a primary without followers was left behind: it has more, or streams
/// from another server, which is no replica's as none says that it is followed.
fn left_behind(records: &[MemberRecord], system: u64, elected: Elected) -> Option<&'static str> {
    let primary = records[elected.index].answer().filter(|it| it.report.followers == Some(0))?;
    let is_streamed = |reply: Reply| reply.report.followers.is_some_and(|count| count > 0);
    let is_cascade = records.iter().filter_map(|record| replica(record, system)).any(is_streamed);
    let is_beyond = |record: &&MemberRecord| {
        let replies = replica(record, system).into_iter().chain(record.previous);
        // What it said later may come from the primary itself.
        let mut earlier = replies.filter(|it| it.report.answered <= primary.report.asked);
        earlier.any(|Reply { report, .. }| {
            let is_same = report.timeline == primary.report.timeline;
            report.lsn > primary.report.lsn
                || report.timeline > primary.report.timeline
                || report.is_streaming && is_same && !is_cascade
        })
    };
    records.iter().find(is_beyond).map(|record| record.region)
}

/// The region of a second primary on the leader's timeline that says that standbys stream from it.
fn second_with_followers(
    records: &[MemberRecord],
    system: u64,
    elected: Elected,
    now: Instant,
) -> Option<&'static str> {
    let is_second = |record: &&MemberRecord| {
        record.recent(now).is_some_and(|reply| {
            let Reply { identity, report } = reply;
            reply.is_of(system)
                && !report.is_replica
                && report.timeline == elected.timeline
                && identity.started != elected.started
                && report.followers.is_some_and(|count| count > 0)
        })
    };
    let mut others = records.iter().enumerate().filter(|(index, _)| *index != elected.index);
    others.find(|(_, record)| is_second(record)).map(|(_, record)| record.region)
}

/// One server may play several regions.
fn is_same_server(one: &Candidate, other: &Candidate) -> bool {
    one.elected.started == other.elected.started
}

/// Whether a primary on `timeline` may have replaced the declared one. While that one refuses to
/// answer, it may be the one that replicas follow. While it is silent, or takes writes on timeline 1
/// itself, a promotion must have made the timeline, and a promotion never makes timeline 1.
fn may_replace_declared(records: &[MemberRecord], known: &Known, timeline: u32) -> bool {
    let declared = &records[known.declared];
    let is_first = |reply: Reply| {
        reply.is_of(known.system) && !reply.report.is_replica && reply.report.timeline == 1
    };
    !declared.is_refusing
        && (timeline > 1 || declared.answer().is_some_and(|reply| !is_first(reply)))
}

/// Whether an unproven primary may come from a promotion: while the declared primary does not
/// answer, its timeline must be newer than every replica's.
fn may_be_promoted(records: &[MemberRecord], known: &Known, elected: Elected) -> bool {
    let answers = records[known.declared].answer().is_some_and(|it| it.is_of(known.system));
    let replicas = records.iter().filter_map(|record| replica(record, known.system));
    let is_newer =
        replicas.map(|it| it.report.timeline).all(|timeline| timeline < elected.timeline);
    may_replace_declared(records, known, elected.timeline) && (answers || is_newer)
}

/// The regions of an unproven primary and of others on older timelines, where a replica follows one
/// of them and the login role may not see which.
fn unseen_rivals(
    records: &[MemberRecord],
    candidates: &[Candidate],
    known: &Known,
    elected: Elected,
) -> Option<Vec<&'static str>> {
    let is_unseen = |reply: Reply| reply.report.is_streaming && !reply.identity.sees_timelines;
    let has_unseen =
        records.iter().filter_map(|record| replica(record, known.system)).any(is_unseen);
    let is_rival = |it: &&Candidate| it.answers && it.elected.timeline != elected.timeline;
    let rivals: Vec<_> =
        candidates.iter().filter(is_rival).map(|it| records[it.elected.index].region).collect();
    (has_unseen && !rivals.is_empty())
        .then(|| [vec![records[elected.index].region], rivals].concat())
}

/// The elected one, if its timeline is the newest proven one, or if all members answer and none
/// knows a newer one: then an older backup was restored.
fn with_newest(
    records: &[MemberRecord],
    known: &Known,
    newest: u32,
    elected: Elected,
) -> Result<Elected, NoPrimary> {
    // 0: the login role may not see the timeline.
    let is_checked = known.follows_promotions
        && known.safeguards.has(Safeguard::Timeline)
        && elected.timeline > 0;
    let has_left = |reply: Reply| !reply.is_of(known.system) || reply.report.timeline < newest;
    let all_have_left = records.iter().all(|record| record.answer().is_some_and(has_left));
    if is_checked && elected.timeline < newest && !all_have_left {
        let region = records[elected.index].region;
        return Err(NoPrimary::Superseded { region, timeline: elected.timeline, newest });
    }
    Ok(elected)
}

/// Whether a position on a newer timeline than the leader's is of another history: the leader is
/// followed, or all members answer, and no silent member is awaited that may know the newer one.
pub(super) fn excludes_newer(records: &[MemberRecord], outcome: &Outcome, now: Instant) -> bool {
    let Ok(elected) = &outcome.leader else { return false };
    let is_awaited = |record: &MemberRecord| record.answer().is_none() && record.is_awaited(now);
    let leader = records[elected.index].answer();
    let is_followed = leader.is_some_and(|reply| is_followed(records, outcome.system, reply, None));
    let all_answer = records.iter().all(|record| record.answer().is_some());
    all_answer || is_followed && !records.iter().any(is_awaited)
}

/// Why a member may serve neither reads nor writes.
fn unfit(
    records: &[MemberRecord],
    index: usize,
    known: &Known,
    leader: &Result<Elected, NoPrimary>,
    now: Instant,
) -> Option<DownReason> {
    let reply = records[index].answer()?;
    if !reply.is_of(known.system) {
        return Some(DownReason::ForeignDatabase);
    }
    let Reply { identity, report } = reply;
    let timeline = report.timeline;
    let elected = match leader {
        Ok(elected) => elected,
        Err(NoPrimary::Contested { regions, .. })
            if regions.contains(&records[index].region) && !report.is_replica =>
        {
            let others = regions.iter().copied().filter(|other| *other != records[index].region);
            return Some(DownReason::Contested { with: others.collect(), timeline });
        }
        Err(
            NoPrimary::Superseded { newest, .. } | NoPrimary::Contested { timeline: newest, .. },
        ) if !report.is_replica && timeline < *newest => {
            return Some(DownReason::Superseded { by: None, timeline, newest: *newest });
        }
        Err(_) if !report.is_replica => {
            return Some(DownReason::Unproven { timeline });
        }
        // What replicas show is judged by the one that led last.
        Err(_) => known.leader.as_ref()?,
    };
    let leads = index == elected.index || identity.started == elected.started;
    let primary = records[elected.index].region;
    if report.is_replica {
        let was_ahead = records[index].ahead_of.contains(&(elected.index, elected.timeline));
        let answer = records[elected.index].answer().filter(|it| !it.report.is_replica);
        let is_ahead = answer.is_some_and(|primary| records[index].is_ahead_of(primary));
        if was_ahead || is_ahead {
            return Some(DownReason::AheadOfPrimary { primary });
        }
        // An unproven one that led for a while, and is gone, says nothing of whom replicas follow.
        let is_known = leader.is_ok() || elected.is_proven();
        let second = second_with_followers(records, known.system, *elected, now);
        return second
            .filter(|_| is_known)
            .map(|second| DownReason::UnclearUpstream { primary, second });
    }
    match timeline.cmp(&elected.timeline) {
        _ if leads => None,
        _ if !known.follows_promotions => Some(DownReason::NotDeclared { primary }),
        std::cmp::Ordering::Less => {
            let newest = elected.timeline;
            Some(DownReason::Superseded { by: Some(primary), timeline, newest })
        }
        std::cmp::Ordering::Equal => Some(DownReason::SecondPrimary { primary, timeline }),
        std::cmp::Ordering::Greater => Some(DownReason::NotFollowed { primary, timeline }),
    }
}

#[cfg(test)]
mod tests;
