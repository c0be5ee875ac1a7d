//! The leader: keeps the last report of every member, and elects after each report.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::election::{Elected, Known, elect, excludes_newer};
use super::record::{MemberRecord, Reply};
use crate::error::{DownReason, Error, NoPrimary};
use crate::position::Position;
use crate::server::{Event, LeaderView, Leadership, LeadingServer};
use crate::settings::Safeguard;

/// How long the first election waits for members that were never heard.
const FIRST_ROUND: Duration = Duration::from_secs(1);

/// Between two questions to each member while no primary is known: a promotion is noticed so soon.
/// The pause grows to the longest in the course of several seconds.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The member that takes the writes: the primary of regions.toml, until an election finds another.
pub(super) struct Leader {
    leadership: Arc<Leadership>,
    /// The members that have a record, by their indices. The others are not used.
    members: Vec<usize>,
    ballot: Mutex<Ballot>,
    /// The record of the member that led last. It stays while no member leads.
    leading: AtomicUsize,
    elections: watch::Sender<Elections>,
    /// When an election was last requested.
    requested: watch::Sender<Option<Instant>>,
}

/// The last report of every member, and what follows from it.
struct Ballot {
    records: Vec<MemberRecord>,
    known: Known,
    /// When the members were first asked.
    begun: Instant,
    /// Whether the first election has ended.
    has_begun: bool,
    /// Why no member leads. None where one does, or before the first election.
    vacancy: Option<NoPrimary>,
    /// Since when no leader answers. None while one does.
    unsettled_since: Option<Instant>,
}

/// Counts what a caller may wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Elections {
    /// Whether the first one has ended. Before that, a superseded primary may look like the leader.
    pub(crate) has_begun: bool,
    /// How often another member, or none, has come to lead.
    pub(crate) changes: u64,
}

impl Leader {
    pub(super) fn new(
        members: Vec<(usize, &'static str)>,
        mut known: Known,
        leadership: Arc<Leadership>,
        begun: Instant,
    ) -> Self {
        let is_declared = |(index, _): &(usize, &str)| *index == known.declared;
        let declared = members.iter().position(is_declared).unwrap_or_default();
        known.declared = declared;
        let records = members.iter().map(|(_, region)| MemberRecord::new(region)).collect();
        let ballot = Ballot {
            records,
            known,
            begun,
            has_begun: false,
            vacancy: None,
            unsettled_since: Some(begun),
        };
        Self {
            leadership,
            members: members.into_iter().map(|(index, _)| index).collect(),
            ballot: Mutex::new(ballot),
            leading: AtomicUsize::new(declared),
            elections: watch::Sender::default(),
            requested: watch::Sender::default(),
        }
    }

    /// Begins to ask: the first election ends a while after this moment.
    pub(super) fn begin(&self, now: Instant) {
        let mut ballot = self.ballot.lock();
        (ballot.begun, ballot.unsettled_since) = (now, Some(now));
    }

    /// The member that led last, by its index.
    pub(super) fn index(&self) -> usize {
        self.members[self.leading.load(Ordering::Relaxed)]
    }

    /// The record of a member.
    fn record_of(&self, index: usize) -> usize {
        self.members.iter().position(|member| *member == index).unwrap_or_default()
    }

    pub(super) fn elections(&self) -> Elections {
        *self.elections.borrow()
    }

    /// Why no member leads.
    pub(super) fn vacancy(&self) -> Option<NoPrimary> {
        self.ballot.lock().vacancy.clone()
    }

    /// Since when no leader answers. None while one does.
    pub(super) fn lost_since(&self) -> Option<Instant> {
        self.ballot.lock().unsettled_since
    }

    /// How long a member may wait for its next question while no leader answers. None while one
    /// does.
    pub(super) fn election_pause(&self, now: Instant) -> Option<Duration> {
        let since = self.lost_since()?;
        Some((now.saturating_duration_since(since) / 8).clamp(SHORTEST_PAUSE, LONGEST_PAUSE))
    }

    /// Records what a member said, and elects. Returns why that member may not serve.
    pub(super) fn record(&self, index: usize, reply: Reply, now: Instant) -> Option<DownReason> {
        let record = self.record_of(index);
        self.elect_after(|records| records[record].observe(reply), now).swap_remove(record)
    }

    /// Records that a member did not answer, and elects.
    pub(super) fn record_silence(&self, index: usize, asked: Instant, now: Instant) {
        let record = self.record_of(index);
        self.elect_after(|records| records[record].record_silence(asked, now), now);
    }

    /// Records that a member answered and refused to say anything of itself.
    pub(super) fn record_refusal(&self, index: usize, asked: Instant, now: Instant) {
        let record = self.record_of(index);
        let refuse = |records: &mut [MemberRecord]| records[record].record_refusal(asked);
        self.elect_after(refuse, now);
    }

    fn elect_after(
        &self,
        report: impl FnOnce(&mut [MemberRecord]),
        now: Instant,
    ) -> Vec<Option<DownReason>> {
        let mut ballot = self.ballot.lock();
        report(&mut ballot.records);
        note_who_is_ahead(&mut ballot.records);
        let outcome = elect(&ballot.records, &ballot.known, now);
        let were_all_asked = ballot.records.iter().all(|record| record.asked.is_some());
        let is_time =
            now.saturating_duration_since(ballot.begun) >= FIRST_ROUND && outcome.leader.is_ok();
        ballot.has_begun |= were_all_asked || is_time;
        let (has_begun, mut has_changed) = (ballot.has_begun, false);
        if has_begun {
            announce_system(ballot.known.system, outcome.system);
            let known = ballot.known.clone().in_database(outcome.system);
            ballot.known = Known { newest: outcome.newest, ..known };
            has_changed = self.apply(&mut ballot, &outcome.leader);
            let leader = outcome.leader.as_ref().ok();
            let answers = leader.is_some_and(|it| ballot.records[it.index].answer().is_some());
            ballot.unsettled_since =
                if answers { None } else { ballot.unsettled_since.or(Some(now)) };
            self.leadership.publish(LeaderView {
                system: outcome.system,
                leader: leader.map(|it| LeadingServer {
                    region: ballot.records[it.index].region,
                    timeline: it.timeline,
                    started: it.started,
                }),
                // The timeline of an unproven leader is known as well.
                newest: leader.map_or(outcome.newest, |it| it.timeline.max(outcome.newest)),
                has_begun,
                excludes_newer: excludes_newer(&ballot.records, &outcome, now),
            });
        }
        drop(ballot);
        self.elections.send_modify(|elections| {
            elections.has_begun = has_begun;
            elections.changes += u64::from(has_changed);
        });
        // Before the first election has ended, only some members were heard.
        if has_begun { outcome.unfit } else { vec![None; outcome.unfit.len()] }
    }

    /// Follows the elected one. Returns whether another member, or none, has come to lead.
    fn apply(&self, ballot: &mut Ballot, elected: &Result<Elected, NoPrimary>) -> bool {
        let before = ballot.known.leader.filter(|_| ballot.vacancy.is_none());
        match elected {
            Ok(elected) => {
                let region = ballot.records[elected.index].region;
                let timeline = elected.timeline;
                if self.leading.swap(elected.index, Ordering::Relaxed) != elected.index {
                    let is_proven = elected.is_proven();
                    tracing::warn!(
                        region,
                        timeline,
                        is_proven,
                        candidates = streamed(&ballot.records),
                        "this region's database is the primary now: writes go there; where \
                         is_proven is false, a primary that replicas follow replaces it"
                    );
                }
                ballot.known.leader = Some(*elected);
                if ballot.vacancy.take().is_some() {
                    tracing::warn!(region, timeline, "writes go on: this database is the primary");
                }
                let server = |it: &Elected| (it.index, it.timeline, it.started);
                let is_news = before.is_none_or(|before| server(&before) != server(elected));
                if is_news {
                    self.leadership.journal.note(Event::Leads { region, timeline });
                }
                is_news
            }
            Err(vacancy) => {
                let is_news = ballot.vacancy.as_ref() != Some(vacancy);
                if is_news {
                    let candidates = streamed(&ballot.records);
                    tracing::error!(
                        reason = %vacancy,
                        candidates,
                        "writes stop: no database is the primary"
                    );
                    let reason = vacancy.clone();
                    self.leadership.journal.note(Event::NoPrimary { reason });
                }
                ballot.vacancy = Some(vacancy.clone());
                is_news
            }
        }
    }

    /// The leader, where a write may be sent to it for a visitor who has seen a position.
    ///
    /// # Errors
    /// Where no member leads, or the visitor has seen a newer timeline than any that is known.
    pub(super) fn writable(&self, seen: Option<Position>) -> Result<usize, Error> {
        let index = self.index();
        if self.leadership.safeguards.has(Safeguard::Role) {
            if let Some(reason) = self.vacancy() {
                return Err(Error::NoPrimary { reason });
            }
            if seen.is_some_and(|position| self.leadership.is_unknown(position)) {
                let region = self.ballot.lock().records[self.record_of(index)].region;
                return Err(Error::NotPrimary { region });
            }
        }
        Ok(index)
    }

    /// Asks for an election.
    pub(super) fn request_election(&self, now: Instant) {
        self.requested.send_replace(Some(now));
    }

    /// When an election was last requested.
    #[cfg(test)]
    pub(super) fn requested_at(&self) -> Option<Instant> {
        *self.requested.borrow()
    }

    /// Resolves once an election is requested after `asked`.
    pub(super) async fn election_requested(&self, asked: Instant) {
        let is_later = |at: &Option<Instant>| at.is_some_and(|at| at > asked);
        let _ = self.requested.subscribe().wait_for(is_later).await;
    }

    /// Has every member asked, and resolves once all were, or another one has come to lead than in
    /// `seen`.
    pub(super) async fn hold_election(&self, seen: Elections) {
        let since = Instant::now();
        self.request_election(since);
        let has_ended = |held: &Elections| self.has_ended(seen, *held, since, Instant::now());
        let _ = self.elections.subscribe().wait_for(has_ended).await;
    }

    /// Whether an election has ended that was requested at `since`, after those in `seen`: all
    /// members were asked, or another one has come to lead.
    pub(super) fn has_ended(
        &self,
        seen: Elections,
        held: Elections,
        since: Instant,
        now: Instant,
    ) -> bool {
        held.changes != seen.changes || self.were_asked(since, now)
    }

    /// Has every member asked, and resolves once all were since then: each has answered, or has not.
    pub(super) async fn all_asked_since(&self, since: Instant) {
        self.request_election(since);
        let were_asked = |_: &Elections| {
            let ballot = self.ballot.lock();
            ballot.records.iter().all(|record| record.asked.is_some_and(|asked| asked >= since))
        };
        let _ = self.elections.subscribe().wait_for(were_asked).await;
    }

    /// Resolves once the first election has ended.
    pub(super) async fn first_election(&self) {
        let _ = self.elections.subscribe().wait_for(|elections| elections.has_begun).await;
    }

    /// Whether every member was asked since, but for those that are known to be silent or to refuse.
    fn were_asked(&self, since: Instant, now: Instant) -> bool {
        let ballot = self.ballot.lock();
        let is_new = now.saturating_duration_since(ballot.begun) < FIRST_ROUND;
        ballot.records.iter().all(|record| match record.asked {
            Some(asked) => asked >= since || !record.answers(),
            None => !is_new,
        })
    }
}

/// Remembers which replicas are ahead of which primary, before its log passes them. A primary that
/// becomes a replica was rebuilt, or follows another one.
fn note_who_is_ahead(records: &mut [MemberRecord]) {
    for index in 0..records.len() {
        let Some(reply) = records[index].answer() else { continue };
        for record in &mut *records {
            if reply.report.is_replica {
                record.forget_ahead_of(index);
            } else if record.is_ahead_of(reply) {
                record.note_ahead_of(index, reply.report.timeline);
            }
        }
    }
}

/// What streams from each member that takes writes, for the log.
fn streamed(records: &[MemberRecord]) -> String {
    let describe = |record: &MemberRecord| {
        let report = record.answer()?.report;
        let count = report.followers.map_or_else(|| "?".to_owned(), |count| count.to_string());
        let (region, timeline) = (record.region, report.timeline);
        let text = format!("{region} (timeline {timeline}, streamed by {count} standbys)");
        (!report.is_replica).then_some(text)
    };
    records.iter().filter_map(describe).collect::<Vec<_>>().join(", ")
}

fn announce_system(before: u64, system: u64) {
    if before != 0 && before != system {
        tracing::warn!(
            before,
            system,
            "no server of the former database is left: the new one behind the same URLs is used"
        );
    }
}
