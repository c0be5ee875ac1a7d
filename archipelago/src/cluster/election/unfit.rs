//! Why a member may serve neither reads nor writes.

use std::time::Instant;

use super::candidates::is_streamed_second;
use super::{Elected, Known};
use crate::cluster::record::{MemberRecord, Reply};
use crate::error::{DownReason, NoPrimary};

/// The region of a second primary on the leader's timeline that says that standbys stream from it.
fn second_with_followers(
    records: &[MemberRecord],
    system: u64,
    elected: Elected,
    now: Instant,
) -> Option<&'static str> {
    let own = (elected.timeline, elected.started);
    let is_second = |record: &MemberRecord| {
        record.recent(now).is_some_and(|reply| is_streamed_second(reply, system, own))
    };
    let mut others = records.iter().enumerate().filter(|(index, _)| *index != elected.index);
    others.find(|(_, record)| is_second(record)).map(|(_, record)| record.region)
}

/// Why a member may serve neither reads nor writes.
pub(super) fn unfit(
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
