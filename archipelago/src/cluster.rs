//! The databases of all regions together: their health, which one is the primary, and the thread
//! that watches them.

mod backoff;
mod election;
mod leader;
mod member;
mod monitor;
mod record;
mod rest;
#[cfg(test)]
mod simulated;
mod start_log;
mod traffic;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::election::Known;
pub(crate) use self::leader::Elections;
use self::leader::Leader;
pub use self::member::Member;
use self::rest::Rest;
#[cfg(test)]
pub(crate) use self::simulated::{ANSWER_LIMIT, SHORTEST, SimulatedCluster};
use self::start_log::log_start;
pub use self::traffic::Traffic;
use crate::connection::{SpillPermit, SpillPlaces};
use crate::error::{Error, NoPrimary};
use crate::pool::Slots;
use crate::position::Position;
use crate::region::RegionInfo;
use crate::server::{Change, Leadership};
use crate::settings::{DatabaseUrl, RegionSet, Safeguard, Settings, SettingsError};

/// The members of a set of repos, and what this process knows of them. For generated code.
///
/// Five things are called primary. [`RegionSet::PRIMARY`] and
/// [`RegionInfo::role`](crate::RegionInfo) are what regions.toml declares.
/// [`Health::role`](crate::Health) is what a server last reported. The leader is the member that
/// this process has elected from those reports, and [`Primary`](crate::Primary) writes to it.
/// Before the first election the declared primary leads.
///
/// Nothing is opened before the first query, or before `Repos::connect`. From then on a thread asks
/// every database how it is, on one kept connection each: once a second this instance's own, the
/// primary, and every other one that reads have used; every four seconds the rest. An election
/// follows each answer. A [rest](crate::Settings::with_monitor_rest) interrupts that. It weighs what all
/// members last said, because a server that takes writes need not be the primary.
pub struct Cluster {
    inner: Arc<Inner>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

/// What the monitor's thread shares with the cluster.
struct Inner {
    members: Vec<Arc<Member>>,
    leader: Leader,
    leadership: Arc<Leadership>,
    /// The region that this instance runs in.
    region: String,
    max_lag: Option<Duration>,
    spill_places: SpillPlaces,
    /// Counts the choices between the servers of one region.
    turn: AtomicUsize,
    rest: Rest,
    /// Set once the monitor's thread has started.
    monitor: OnceLock<()>,
    monitor_has_ended: AtomicBool,
}

/// The slots of each member: one limit for all whose URLs name the same server.
fn slots_of(regions: &[RegionInfo], settings: &Settings) -> Result<Vec<Arc<Slots>>, SettingsError> {
    let urls = regions.iter().map(|info| settings.url(info.code));
    let urls = urls.collect::<Result<Vec<_>, _>>()?;
    let first = |url: &&DatabaseUrl| urls.iter().position(|other| other.is_same_server(url));
    let servers: Vec<_> = urls.iter().filter_map(first).collect();
    let mut slots: Vec<_> = (0..urls.len())
        .map(|server| servers.iter().filter(|other| **other == server).count())
        .map(|members| Slots::of_server(settings.pool_size(), members).into_iter())
        .collect();
    Ok(servers.iter().filter_map(|server| slots[*server].next()).collect())
}

impl Cluster {
    /// A cluster of the regions of `R`. Opens no connection, and logs where each database is.
    ///
    /// # Errors
    /// When the settings were made for other regions, or hold a region or a number that cannot be.
    pub fn new<R: RegionSet>(settings: &Settings) -> Result<Self, SettingsError> {
        settings.check::<R>()?;
        let safeguards = settings.safeguards();
        let leadership = Arc::new(Leadership::new(safeguards));
        let io = Arc::default();
        let members = R::REGIONS
            .iter()
            .zip(slots_of(R::REGIONS, settings)?)
            .map(|(info, slots)| Member::new(info, settings, &leadership, &slots, &io))
            .map(|member| member.map(Arc::new));
        let primary = R::REGIONS.iter().position(|info| info.code == R::PRIMARY.code);
        let known = Known {
            system: 0,
            leader: None,
            newest: 0,
            declared: primary.unwrap_or_default(),
            follows_promotions: R::FOLLOW_PROMOTIONS,
            safeguards,
        };
        let used = R::REGIONS.iter().enumerate().filter(|(_, info)| !settings.is_off(info.code));
        let regions = used.map(|(index, info)| (index, info.code)).collect();
        // A read that waits asks for a check of a silent server, and a transaction looks at the
        // leader once more before its COMMIT.
        let timeouts = settings.timeouts();
        let longest = timeouts.transaction.max(timeouts.answer());
        let rest = settings.monitor_rest().map(|rest| rest.max(longest));
        let max_lag = settings.max_lag().unwrap_or(R::MAX_LAG);
        let inner = Inner {
            members: members.collect::<Result<_, _>>()?,
            leader: Leader::new(regions, known, leadership.clone(), Instant::now()),
            region: settings.region().to_owned(),
            max_lag: safeguards.has(Safeguard::MaxLag).then_some(max_lag),
            leadership,
            spill_places: SpillPlaces::new(R::MAX_SPILL as usize),
            turn: AtomicUsize::new(0),
            rest: Rest::new(rest, Instant::now()),
            monitor: OnceLock::new(),
            monitor_has_ended: AtomicBool::new(false),
        };
        log_start::<R>(settings)?;
        let stop = CancellationToken::new();
        Ok(Self { inner: Arc::new(inner), _stop_on_drop: stop.clone().drop_guard(), stop })
    }

    /// The member of a region, by its index in [`RegionSet::REGIONS`].
    #[must_use]
    pub fn member(&self, index: usize) -> Arc<Member> {
        self.inner.members[index].clone()
    }

    /// Every member, in the order of [`RegionSet::REGIONS`], without further servers of a region that
    /// have no URL.
    pub fn members(&self) -> impl Iterator<Item = &Member> + Send {
        self.inner.members.iter().map(Arc::as_ref).filter(|member| !member.is_off())
    }

    /// Every member by its index, those included that have no URL.
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, &Member)> + Send {
        self.inner.members.iter().map(Arc::as_ref).enumerate()
    }

    /// The member that a read asks first: of the servers of the first region of `order` the one with
    /// the fewest requests under way. One that is down or lags by more than `limit` comes last.
    pub(crate) fn first_of(&self, order: &[usize], limit: Option<Duration>) -> Option<usize> {
        let region = self.at(*order.first()?).info().region;
        let is_there = |index: &&usize| self.at(**index).info().region == region;
        let count = order.iter().take_while(is_there).count();
        let turn = if count > 1 { self.inner.turn.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let servers = (0..count).map(|offset| order[(turn % count + offset) % count]);
        let used = servers.filter(|index| !self.at(*index).is_off());
        used.min_by_key(|index| {
            let member = self.at(*index);
            let is_unfit = !member.health.is_up() || self.lags_over(member, limit, true);
            (count > 1).then(|| (is_unfit, member.reading.outstanding()))
        })
    }

    /// The member that takes the writes, as far as this process knows.
    #[must_use]
    pub fn leader(&self) -> &Member {
        self.inner.leader()
    }
}

impl Cluster {
    pub(crate) fn leadership(&self) -> &Leadership {
        &self.inner.leadership
    }

    /// How far behind the primary a read may be by default.
    pub(crate) fn max_lag(&self) -> Option<Duration> {
        self.inner.max_lag
    }

    pub(crate) fn at(&self, index: usize) -> &Member {
        &self.inner.members[index]
    }

    pub(crate) fn leader_index(&self) -> usize {
        self.inner.leader.index()
    }

    /// Has the monitor check a member every second from now on.
    pub(crate) fn watch(&self, index: usize) {
        self.inner.rest.note_request(Instant::now);
        let member = &self.inner.members[index];
        if !member.is_watched() && !self.stop.is_cancelled() {
            self.inner.monitor.get_or_init(|| self.start_monitor());
            if member.health.mark_watched() {
                member.health.request_check();
            }
        }
    }

    /// A place for a read from elsewhere at the primary, which requires this position. None while too
    /// many are under way.
    pub(crate) fn spill_permit(&self, required: Option<Position>) -> Option<SpillPermit> {
        self.inner.spill_places.permit(required)
    }

    /// Whether this instance is known to be in another region than the leader.
    pub(crate) fn is_elsewhere(&self) -> bool {
        let region = &self.inner.region;
        !region.is_empty() && region != self.leader().info().region
    }

    /// Whether there was an election, since the monitor has last rested.
    pub(crate) fn has_held_election(&self) -> bool {
        self.inner.leader.elections().has_begun && self.inner.rest.unelected_since().is_none()
    }

    /// Waits for the first election, or for one behind a rest of the monitor: before it, a superseded
    /// primary may look like the leader.
    pub(crate) async fn wait_for_leader(&self, limit: Duration) {
        let Inner { rest, leader, .. } = &*self.inner;
        rest.note_request(Instant::now);
        if self.has_held_election() {
            return;
        }
        self.watch(self.leader_index());
        match rest.unelected_since() {
            // What was known of silent members before the rest says nothing now.
            Some(since) if leader.elections().has_begun => {
                if timeout(limit, leader.all_asked_since(since)).await.is_ok() {
                    rest.note_election(since);
                }
            }
            _ => {
                let _ = timeout(limit, leader.first_election()).await;
            }
        }
    }

    /// Whether a member lags by more than `limit`, as far as this process knows. A strict read asks the
    /// member where that is not certain.
    pub(crate) fn lags_over(
        &self,
        member: &Member,
        limit: Option<Duration>,
        is_strict: bool,
    ) -> bool {
        let Some(limit) = limit else { return false };
        let lost_since = || self.inner.leader.lost_since();
        member.health.lagged_over(limit)
            || !is_strict && member.health.has_grown_over(limit, Instant::now(), lost_since)
    }

    /// The leader, for a visitor who has seen a position. Fails where no member leads, the leader is
    /// silent, or the visitor has seen a newer timeline than any that is known.
    pub(crate) fn writable_leader(&self, seen: Option<Position>) -> Result<&Member, Error> {
        let member = self.at(self.inner.leader.writable(seen)?);
        let silence = member.health.silence();
        silence.map_or(Ok(member), |reason| Err(reason.in_region(member.info().code)))
    }

    /// The elections so far.
    pub(crate) fn elections(&self) -> Elections {
        self.inner.leader.elections()
    }

    /// Has every member asked, and waits until all were, or another one has come to lead than in
    /// `seen`. Returns whether that has happened within `limit`.
    pub(crate) async fn hold_election(&self, seen: Elections, limit: Duration) -> bool {
        self.watch(self.leader_index());
        timeout(limit, self.inner.leader.hold_election(seen)).await.is_ok()
    }

    /// What replaces a position of another history; None for one of this history. If it is on a
    /// timeline that no member has shown, every member is asked first.
    pub(crate) async fn replacement_for(&self, position: Position) -> Option<Position> {
        let leadership = &self.inner.leadership;
        if !leadership.is_unknown(position) {
            return None;
        }
        let limit = self.leader().writing.timeouts().checkout;
        let has_ended = self.hold_election(self.elections(), limit).await;
        if has_ended { leadership.replacement_for(position) } else { None }
    }

    /// How many positions of visitors were dropped, because they were of another history: a backup
    /// was restored, or they come from a copy of the site.
    #[must_use]
    pub fn dropped_positions(&self) -> u64 {
        self.inner.leadership.dropped()
    }

    /// Why no database takes writes. None while one does.
    #[must_use]
    pub fn no_primary(&self) -> Option<NoPrimary> {
        self.inner.leader.vacancy()
    }

    /// The last changes of the databases that this process observed, the oldest first.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        self.inner.leadership.journal.changes()
    }

    /// How many reads from elsewhere the primary serves now, of at most
    /// [`MAX_SPILL`](RegionSet::MAX_SPILL).
    #[must_use]
    pub fn spilled_reads(&self) -> usize {
        self.inner.spill_places.taken()
    }

    /// How many reads from elsewhere found no place at the primary.
    #[must_use]
    pub fn refused_spills(&self) -> u64 {
        self.inner.spill_places.refused()
    }

    /// Whether the thread that watches the databases has ended, or could not be started: what this
    /// process knows of them grows old, and it should be restarted.
    #[must_use]
    pub fn monitor_has_ended(&self) -> bool {
        self.inner.monitor_has_ended.load(Ordering::Relaxed)
    }

    /// Stops the monitor.
    pub(crate) fn stop_monitor(&self) {
        self.stop.cancel();
    }

    fn start_monitor(&self) {
        self.inner.leader.begin(Instant::now());
        if let Err(error) = monitor::start(self.inner.clone(), self.stop.clone()) {
            self.inner.monitor_has_ended.store(true, Ordering::Relaxed);
            tracing::error!(%error, "no thread can be started to watch the databases");
        }
    }
}

impl Inner {
    fn leader(&self) -> &Arc<Member> {
        &self.members[self.leader.index()]
    }

    /// Whether this instance sends the primary's heartbeat: the instances near it do, and the others
    /// where those may rest.
    fn sends_heartbeat(&self) -> bool {
        let is_near = self.region.is_empty() || self.region == self.leader().info().region;
        self.members.len() > 1
            && self.leader.elections().has_begun
            && (is_near || self.rest.is_allowed())
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.inner.members).finish()
    }
}
