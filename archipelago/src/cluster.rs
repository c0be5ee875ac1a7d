//! The databases of all regions together: their health, which one is the primary, and the thread
//! that watches them.

mod backoff;
mod election;
mod interviews;
mod leader;
mod member;
mod monitor;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use self::leader::Elections;
use self::leader::Leader;
pub use self::member::Member;
use crate::error::Error;
use crate::server::Timelines;
use crate::settings::{RegionSet, Safeguard, SettingError, Settings};

/// The members of a set of repos, and what this process knows of them. For generated code.
///
/// Five things are called primary. [`RegionSet::PRIMARY`] and
/// [`RegionInfo::role`](crate::RegionInfo) are what regions.toml declares.
/// [`Health::role`](crate::Health) is what a server last reported. The leader is the member that
/// this process has elected from those reports, and [`Primary`](crate::Primary) writes to it.
/// Before the first election the declared primary leads.
///
/// Nothing is opened before the first query, or before `Repos::connect`. From then on a thread
/// checks this instance's own database, the primary, and every other database that is asked: once a
/// second, on one connection each. When the primary is lost, it asks every member which one is
/// writable on the newest timeline, on connections that it closes again.
pub struct Cluster {
    inner: Arc<Inner>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

/// What the monitor's thread shares with the cluster.
struct Inner {
    members: Vec<Arc<Member>>,
    leader: Leader,
    timelines: Arc<Timelines>,
    /// The region that this instance runs in.
    region: String,
    max_lag: Option<Duration>,
    spill_permits: Arc<Semaphore>,
    /// Hands members to the monitor's thread. Set once that has started.
    watched: OnceLock<mpsc::UnboundedSender<Arc<Member>>>,
}

impl Cluster {
    /// A cluster of the regions of `R`. Opens no connection.
    ///
    /// # Errors
    /// When the settings were made for other regions.
    pub fn new<R: RegionSet>(settings: &Settings) -> Result<Self, SettingError> {
        let timelines = Arc::new(Timelines::new(settings.safeguards()));
        let members =
            R::REGIONS.iter().map(|info| Member::new(info, settings, &timelines).map(Arc::new));
        let primary = R::REGIONS.iter().position(|info| info.code == R::PRIMARY.code);
        let max_lag = settings.max_lag().unwrap_or(R::MAX_LAG);
        let inner = Inner {
            members: members.collect::<Result<_, _>>()?,
            leader: Leader::new(primary.unwrap_or_default()),
            region: settings.region().to_owned(),
            max_lag: timelines.safeguards.has(Safeguard::MaxLag).then_some(max_lag),
            timelines,
            spill_permits: Arc::new(Semaphore::new(R::MAX_SPILL as usize)),
            watched: OnceLock::new(),
        };
        let stop = CancellationToken::new();
        Ok(Self { inner: Arc::new(inner), _stop_on_drop: stop.clone().drop_guard(), stop })
    }

    /// The member of a region, by its index in [`RegionSet::REGIONS`].
    #[must_use]
    pub fn member(&self, index: usize) -> Arc<Member> {
        self.inner.members[index].clone()
    }

    /// Every member, in the order of [`RegionSet::REGIONS`].
    pub fn members(&self) -> impl Iterator<Item = &Member> + Send {
        self.inner.members.iter().map(Arc::as_ref)
    }

    /// The member that takes the writes, as far as this process knows.
    #[must_use]
    pub fn leader(&self) -> &Member {
        self.inner.leader()
    }
}

impl Cluster {
    pub(crate) fn timelines(&self) -> &Timelines {
        &self.inner.timelines
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

    /// Has the monitor check a member from now on.
    pub(crate) fn watch(&self, index: usize) {
        let member = &self.inner.members[index];
        if !member.is_watched() && !self.stop.is_cancelled() {
            self.inner.watched.get_or_init(|| self.start_monitor());
            self.inner.watch(member);
        }
    }

    /// A permit for a read from elsewhere at the primary. None while too many are under way.
    pub(crate) fn spill_permit(&self) -> Option<OwnedSemaphorePermit> {
        self.inner.spill_permits.clone().try_acquire_owned().ok()
    }

    /// Whether there was an election.
    pub(crate) fn has_held_election(&self) -> bool {
        self.inner.leader.has_held_election()
    }

    /// Waits for the first election: before it, a superseded primary may look like the leader.
    pub(crate) async fn wait_for_leader(&self, limit: Duration) {
        if !self.has_held_election() {
            self.watch(self.leader_index());
            let election = self.inner.leader.wait_for_election(Elections::default());
            let _ = timeout(limit, election).await;
        }
    }

    /// The leader, for a visitor who knows of `timeline`. Fails where the leader is known to be
    /// superseded or silent.
    pub(crate) fn writable_leader(&self, timeline: u32) -> Result<&Member, Error> {
        let Inner { leader, timelines, .. } = &*self.inner;
        let (member, elected) = (self.leader(), leader.timeline());
        let region = member.info().code;
        let is_behind_visitor =
            elected > 0 && elected < timeline && !timelines.is_disproved(timeline);
        let is_checked = timelines.safeguards.has(Safeguard::Role);
        if timelines.is_superseded(elected) || is_behind_visitor && is_checked {
            return Err(Error::NotPrimary { region });
        }
        member.health.silence().map_or(Ok(member), |reason| Err(reason.in_region(region)))
    }

    /// The elections so far.
    pub(crate) fn elections(&self) -> Elections {
        self.inner.leader.elections()
    }

    /// Requests an election, and waits for the next completed round or change of leader after
    /// `seen`.
    pub(crate) async fn wait_for_election(&self, seen: Elections, limit: Duration) {
        self.watch(self.leader_index());
        self.inner.leader.request_election();
        let _ = timeout(limit, self.inner.leader.wait_for_election(seen)).await;
    }

    /// Stops the monitor.
    pub(crate) fn stop_monitor(&self) {
        self.stop.cancel();
    }

    fn start_monitor(&self) -> mpsc::UnboundedSender<Arc<Member>> {
        let (watched, members) = mpsc::unbounded_channel();
        if let Err(error) = monitor::start(self.inner.clone(), members, self.stop.clone()) {
            tracing::error!(%error, "no thread can be started to watch the databases");
        }
        watched
    }
}

impl Inner {
    fn leader(&self) -> &Arc<Member> {
        &self.members[self.leader.index()]
    }

    fn is_leader(&self, member: &Member) -> bool {
        member.info().code == self.leader().info().code
    }

    fn watch(&self, member: &Arc<Member>) {
        if let Some(watched) = self.watched.get()
            && member.health.mark_watched()
        {
            let _ = watched.send(member.clone());
        }
    }

    /// Whether this instance sends the primary's heartbeat: the instances near it do.
    fn sends_heartbeat(&self) -> bool {
        let is_near = self.region.is_empty() || self.region == self.leader().info().code;
        self.members.len() > 1 && self.leader.has_held_election() && is_near
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.inner.members).finish()
    }
}
