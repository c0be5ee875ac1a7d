//! Every region's database together: who is well, who leads, and who is asked after whom.

mod health;
mod leader;
mod lineage;
mod member;
mod monitor;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::health::Health;
pub(crate) use self::health::HealthRecord;
use self::leader::Leader;
pub(crate) use self::lineage::Lineage;
pub use self::member::Member;
use crate::{Error, Primary, Protection, Reason, Replica, RepoSet, SettingError, Settings};

/// The members of a set of repos, and what this process knows of them. For generated code.
///
/// Nothing is opened before the first question. From then on a thread of its own looks at this instance's own database, the primary, and
/// whatever else is asked, once a second on one connection each; and when the primary is lost it asks every member, on connections
/// that it closes again, who is writable on the newest timeline.
pub struct Cluster {
    inner: Arc<Inner>,
    stop: CancellationToken,
    _stopped: DropGuard,
}

pub(crate) struct Inner {
    members: Vec<Arc<Member>>,
    leader: Leader,
    lineage: Arc<Lineage>,
    /// Where this instance runs.
    region: String,
    max_lag: Option<Duration>,
    spill: Arc<Semaphore>,
    watched: OnceLock<mpsc::UnboundedSender<Arc<Member>>>,
}

impl Cluster {
    /// The members, in the order of [`RepoSet::REGIONS`].
    ///
    /// # Errors
    /// When the settings were made for other regions.
    pub fn new<R: RepoSet>(settings: &Settings) -> Result<Self, SettingError> {
        let lineage = Arc::new(Lineage::new(settings.protections()));
        let members =
            R::REGIONS.iter().map(|info| Member::new(info, settings, &lineage).map(Arc::new));
        let max_lag = settings.max_lag().unwrap_or(R::MAX_LAG);
        let inner = Inner {
            members: members.collect::<Result<_, _>>()?,
            leader: Leader::new(
                R::REGIONS.iter().position(|info| info.code == R::PRIMARY.code).unwrap_or_default(),
            ),
            region: settings.region().to_owned(),
            max_lag: lineage.protections.include(Protection::MaxLag).then_some(max_lag),
            lineage,
            spill: Arc::new(Semaphore::new(R::MAX_SPILL as usize)),
            watched: OnceLock::new(),
        };
        let stop = CancellationToken::new();
        Ok(Self { inner: Arc::new(inner), _stopped: stop.clone().drop_guard(), stop })
    }

    /// The member of a region, by its number in [`RepoSet::REGIONS`].
    #[must_use]
    pub fn member(&self, index: usize) -> Arc<Member> {
        self.inner.members[index].clone()
    }

    /// Every member, in the order of [`RepoSet::REGIONS`].
    pub fn members(&self) -> impl Iterator<Item = &Member> + Send {
        self.inner.members.iter().map(Arc::as_ref)
    }

    /// The member that takes the writes, as far as this process knows.
    #[must_use]
    pub fn leader(&self) -> &Member {
        self.inner.leader()
    }

    /// Writes.
    #[must_use]
    pub fn primary(&self) -> Primary<'_> {
        Primary::new(self)
    }

    /// Reads from the first of `order` that can serve them; the primary is the last.
    #[must_use]
    pub fn near(&self, order: &'static [usize], reason: Reason) -> Replica<'_> {
        Replica::near(self, order, reason)
    }
}

impl Cluster {
    pub(crate) fn lineage(&self) -> &Lineage {
        &self.inner.lineage
    }

    /// How far behind the primary a read may be without a word.
    pub(crate) fn max_lag(&self) -> Option<Duration> {
        self.inner.max_lag
    }

    pub(crate) fn at(&self, index: usize) -> &Member {
        &self.inner.members[index]
    }

    pub(crate) fn leader_index(&self) -> usize {
        self.inner.leader.index()
    }

    /// Has the monitor look at a member from now on.
    pub(crate) fn watch(&self, index: usize) {
        let member = &self.inner.members[index];
        if !member.is_watched() && !self.stop.is_cancelled() {
            self.inner.watched.get_or_init(|| self.start());
            self.inner.watch(member);
        }
    }

    /// A place for a read that leaves for the primary; none when too many are under way.
    pub(crate) fn spill(&self) -> Option<OwnedSemaphorePermit> {
        self.inner.spill.clone().try_acquire_owned().ok()
    }

    /// Whether every member has been asked once who leads.
    pub(crate) fn leader_is_known(&self) -> bool {
        self.inner.leader.is_known()
    }

    /// Waits until every member has been asked once who leads: a primary that was replaced does not know it.
    pub(crate) async fn knows_the_leader(&self, limit: Duration) {
        if !self.inner.leader.is_known() {
            self.watch(self.leader_index());
            let _ = timeout(limit, self.inner.leader.more_rounds_than(0)).await;
        }
    }

    /// The member that takes the writes, where it is known to, and visitors know of no newer timeline than `timeline`.
    pub(crate) fn writable_leader(&self, timeline: u32) -> Result<&Member, Error> {
        let Inner { leader, lineage, .. } = &*self.inner;
        let (member, leads) = (self.leader(), leader.timeline());
        let region = member.info().code;
        let is_older = leads > 0 && leads < timeline && !lineage.is_refuted(timeline);
        if lineage.has_left(leads) || is_older && lineage.protections.include(Protection::Role) {
            return Err(Error::NotPrimary { region });
        }
        member.health.silence().map_or(Ok(member), |error| Err(error.of(region)))
    }

    /// How often every member has been asked who leads.
    pub(crate) fn rounds(&self) -> u64 {
        self.inner.leader.rounds()
    }

    /// Has every member asked who leads, and waits until they were more often than so, or another leads.
    pub(crate) async fn more_rounds_than(&self, before: u64, limit: Duration) {
        self.watch(self.leader_index());
        self.inner.leader.look_again_if(true);
        let _ = timeout(limit, self.inner.leader.more_rounds_than(before)).await;
    }

    /// Looks at nobody any more.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    fn start(&self) -> mpsc::UnboundedSender<Arc<Member>> {
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

    fn leads(&self, member: &Member) -> bool {
        member.info().code == self.leader().info().code
    }

    fn watch(&self, member: &Arc<Member>) {
        if let Some(watched) = self.watched.get()
            && member.health.begin_to_watch()
        {
            let _ = watched.send(member.clone());
        }
    }

    /// Whether this instance gives the primary something to commit every second, which is for those near it.
    fn beats(&self) -> bool {
        self.members.len() > 1
            && self.leader.is_known()
            && (self.region.is_empty() || self.region == self.leader().info().code)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.inner.members).finish()
    }
}
