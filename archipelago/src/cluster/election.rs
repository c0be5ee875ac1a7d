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

mod candidates;
mod choice;
mod database;
mod unfit;

use std::time::Instant;

use self::candidates::{candidates, is_followed, newest_followed};
use self::choice::{choose, with_newest};
use self::database::system_of;
use self::unfit::unfit;
use super::record::MemberRecord;
use crate::error::{DownReason, NoPrimary};
use crate::settings::Safeguards;

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

#[cfg(test)]
mod tests;
