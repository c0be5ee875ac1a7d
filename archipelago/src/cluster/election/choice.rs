//! Which candidate leads, or why none does.

use super::candidates::{Candidate, is_same_server, may_replace_declared, replica};
use super::{Elected, Known};
use crate::cluster::record::{MemberRecord, Reply};
use crate::error::NoPrimary;
use crate::settings::Safeguard;

pub(super) fn choose(
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
        && let Some(replica) = left_behind(records, known, *elected)
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
fn left_behind(records: &[MemberRecord], known: &Known, elected: Elected) -> Option<&'static str> {
    let system = known.system;
    let primary = records[elected.index].answer().filter(|it| it.report.followers == Some(0))?;
    let is_streamed = |reply: Reply| reply.report.followers.is_some_and(|count| count > 0);
    let is_cascade = records.iter().filter_map(|record| replica(record, system)).any(is_streamed);
    let is_beyond = |record: &&MemberRecord| {
        let replies = replica(record, system).into_iter().chain(record.previous);
        // What it said later may come from the primary itself. At the start nothing is earlier, and the
        // doubt counts.
        let is_earlier = |it: &Reply| it.report.answered <= primary.report.asked;
        replies.filter(|it| known.leader.is_none() || is_earlier(it)).any(
            |Reply { report, .. }| {
                let is_same = report.timeline == primary.report.timeline;
                report.lsn > primary.report.lsn
                    || report.timeline > primary.report.timeline
                    || report.is_streaming && is_same && !is_cascade
            },
        )
    };
    records.iter().find(is_beyond).map(|record| record.region)
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
pub(super) fn with_newest(
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
