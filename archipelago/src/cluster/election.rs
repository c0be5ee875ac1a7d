//! Who is the primary: a pure decision from what every member last said and what was known before.
//! Each process decides by itself; members do not vote.
//!
//! The decision weighs evidence, because a server that takes writes need not be the primary: it may
//! be a copy, a restored backup, an old primary, or a replica that lost its `standby.signal`.
//!
//! 1. A primary is *proven* if this process saw its promotion, if a replica streams its timeline,
//!    or if it leads on that timeline already and was proven there. Of the proven ones the newest
//!    timeline leads.
//! 2. Without a proven one, a leader that was proven on an older timeline stays: it was promoted or
//!    restored in place. Else the newest timeline leads for the time being, unless the primary of
//!    regions.toml is silent and the other could never have been promoted.
//! 3. Between two on one timeline a proven leader stays, else the primary of regions.toml leads,
//!    else an unproven leader stays; otherwise no member leads.
//! 4. The timeline never goes back, unless all members answer and none knows the newer one.

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
        let leader = self.leader.map(|leader| Elected { proven_on: None, ..leader });
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
struct Candidate {
    elected: Elected,
    leads: bool,
    is_declared: bool,
    answers: bool,
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
    let unfit = (0..records.len()).map(|index| unfit(records, index, &known, &leader)).collect();
    Outcome { system, leader, newest, unfit }
}

/// The database of the members. The known one, until no server of it is left but replicas that
/// receive nothing; one that fell silent a moment ago is left. Then another one that takes writes: in
/// the leader's place, or with most members.
fn system_of(records: &[MemberRecord], known: &Known, now: Instant) -> u64 {
    let answers = || {
        let answers = records.iter().enumerate();
        answers.filter_map(|(index, record)| Some((index, record.answer()?)))
    };
    let of = |system: u64| answers().filter(move |(_, it)| it.identity.system == system);
    let leader = known.leader.map_or(known.declared, |leader| leader.index);
    // The database of most members; in a tie, that of the leader.
    let weight =
        |(index, reply): &(usize, Reply)| (of(reply.identity.system).count(), *index == leader);
    if known.leader.is_none_or(|leader| leader.proven_on.is_none()) {
        return answers().max_by_key(weight).map_or(known.system, |(_, it)| it.identity.system);
    }
    let is_alive = |reply: Reply| !reply.report.is_replica || reply.report.is_streaming;
    let mut heard = records.iter().filter_map(|record| record.heard_within(MISSED, now));
    if heard.any(|reply| reply.is_of(known.system) && is_alive(reply)) {
        return known.system;
    }
    let left = answers().filter(|(_, reply)| reply.is_of(known.system)).count();
    let others = answers().filter(|(_, it)| !it.is_of(known.system) && !it.report.is_replica);
    let best = others.max_by_key(weight).filter(|other| {
        let (count, is_in_place) = weight(other);
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
        // A replica that streams its timeline and is ahead of it follows another one.
        let is_refuted = records.iter().any(|record| {
            let streams =
                |it: Reply| it.report.is_streaming && it.report.timeline == report.timeline;
            replica(record, known.system).is_some_and(streams) && record.is_ahead_of(reply)
        });
        let timeline = report.timeline;
        let is_followed = is_followed(records, known.system, reply, since)
            && (index == known.declared || may_replace_declared(records, known, timeline));
        let proven_on = if record.was_promoted || is_followed {
            Some(timeline)
        } else {
            leader.and_then(|leader| leader.proven_on).filter(|_| !is_refuted)
        };
        let elected = Elected { index, timeline, started: identity.started, proven_on };
        Some(Candidate {
            elected,
            leads: leader.is_some(),
            is_declared: index == known.declared,
            answers: answer.is_some(),
        })
    };
    records.iter().enumerate().filter_map(candidate).collect()
}

/// Whether a replica streams the timeline of `primary`, as it replied after `since`, and is not known
/// to be ahead of it: then it follows another one.
fn is_followed(
    records: &[MemberRecord],
    system: u64,
    primary: Reply,
    since: Option<Instant>,
) -> bool {
    let takes_writes = |reply: &Reply| reply.is_of(system) && !reply.report.is_replica;
    let writable = records.iter().filter_map(MemberRecord::answer).filter(takes_writes);
    let newest = writable.map(|reply| reply.report.timeline).max().unwrap_or_default();
    records.iter().any(|record| {
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
    let must_be_proven = weighs && candidates.iter().any(|candidate| candidate.elected.is_proven());
    let eligible = candidates.iter().filter(|candidate| {
        if must_be_proven { candidate.elected.is_proven() } else { candidate.answers }
    });
    let compares = known.safeguards.has(Safeguard::Timeline);
    let timeline = |candidate: &Candidate| if compares { candidate.elected.timeline } else { 1 };
    let newest = eligible.clone().map(timeline).max().ok_or(NoPrimary::NoneWritable)?;
    let contenders: Vec<_> = eligible.filter(|candidate| timeline(candidate) == newest).collect();
    let stays = |candidate: &&&Candidate| {
        candidate.leads && (candidate.elected.is_proven() || !is_declared_among(&contenders))
    };
    let preferred = contenders.iter().find(stays).or_else(|| {
        contenders.iter().find(|candidate| candidate.is_declared).or(match &*contenders {
            [first, rest @ ..] if rest.iter().all(|other| is_same_server(first, other)) => {
                Some(first)
            }
            _ => None,
        })
    });
    let Some(Candidate { elected, leads, is_declared, .. }) = preferred else {
        let regions = contenders.iter().map(|it| records[it.elected.index].region).collect();
        return Err(NoPrimary::Contested { regions, timeline: newest });
    };
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

fn is_declared_among(contenders: &[&Candidate]) -> bool {
    contenders.iter().any(|candidate| candidate.is_declared)
}

/// One server may play several regions.
fn is_same_server(one: &Candidate, other: &Candidate) -> bool {
    one.elected.started == other.elected.started
}

/// Whether a primary on `timeline` may have replaced the declared one. While that one refuses to
/// answer, it may be the one that replicas follow. While it is silent, a promotion must have made
/// the timeline, and a promotion never makes timeline 1.
fn may_replace_declared(records: &[MemberRecord], known: &Known, timeline: u32) -> bool {
    let declared = &records[known.declared];
    !declared.is_refusing && (declared.answer().is_some() || timeline > 1)
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
        Err(_) => return None,
    };
    let leads = index == elected.index || identity.started == elected.started;
    let primary = records[elected.index].region;
    if report.is_replica {
        let was_ahead = records[index].ahead_of.contains(&(elected.index, elected.timeline));
        let leader = records[elected.index].answer();
        let is_ahead = leader.is_some_and(|leader| records[index].is_ahead_of(leader));
        let is_ahead = was_ahead || is_ahead;
        return is_ahead.then_some(DownReason::AheadOfPrimary { primary });
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
