//! `Session`: what one visitor has brought, seen and written, for every task of one request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::session_data::SessionData;
use crate::cluster::Cluster;
use crate::position::Position;
use crate::region::ServedBy;
use crate::server::Freshness;

/// How long visitors keep a position at least.
const SHORTEST_LIFETIME: Duration = Duration::from_mins(10);

/// What one visitor has brought, seen and written. Clones share it, and any task may hold one.
///
/// A handle [for a visitor](crate::Replica::for_visitor) reads at least what its visitor has seen
/// and written before, and records in the session what each query has shown or committed. So the
/// session replaces positions that are carried by hand:
///
/// ```no_run
/// # archipelago::repos! { primary home; replica near }
/// # diesel::table! { users (id) { id -> BigInt, name -> Text } }
/// use archipelago::Position;
/// use archipelago::visitor::Session;
/// use diesel::prelude::*;
///
/// # async fn example(repos: Repos, brought: Position) -> Result<(), archipelago::Error> {
/// let session = Session::new();
/// session.require(brought);
/// let insert = diesel::insert_into(users::table).values(users::name.eq("Ada"));
/// repos.primary().for_visitor(&session).execute(insert).await?;
/// // Any region shows Ada now.
/// let names = users::table.select(users::name);
/// let names: Vec<String> = repos.replica().for_visitor(&session).load(names).await?;
/// let carried_on: Vec<Position> = session.positions();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Session(Arc<Mutex<SessionData>>);

impl Session {
    /// The session of a visitor who brings nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Requires that the next reads show everything up to `position`.
    pub fn require(&self, position: Position) {
        self.data().bring(position);
    }

    /// The positions that the visitor has to bring to the next request: the latest of each database
    /// that this session has read or written.
    #[must_use]
    pub fn positions(&self) -> Vec<Position> {
        self.data().carried().collect()
    }

    /// How long the visitor has to keep them: the longest age that a read of theirs may have, by
    /// when every database that serves such a read shows them, and ten minutes at least.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.data().longest_age.max(SHORTEST_LIFETIME)
    }

    /// The database that served the last query, and the time of all queries, checkouts included.
    /// None before the first query, and after one that failed.
    #[must_use]
    pub fn served(&self) -> Option<(ServedBy, Duration)> {
        let data = self.data();
        data.served_by.map(|served_by| (served_by, data.elapsed))
    }

    /// The plain data. No caller holds the lock across an `await`.
    pub(crate) fn data(&self) -> MutexGuard<'_, SessionData> {
        self.0.lock()
    }

    /// How fresh a read of `cluster` must be, as [`SessionData::freshness`] says.
    pub(crate) async fn freshness(&self, cluster: &Cluster) -> Option<Freshness> {
        let system = self.vet(cluster).await;
        self.data().freshness(system)
    }

    /// The latest position of `cluster` that the visitor has seen or written.
    pub(crate) async fn position(&self, cluster: &Cluster) -> Option<Position> {
        let system = self.vet(cluster).await;
        self.data().position(system)
    }

    /// The database that a cluster serves; 0 while it is unknown. Replaces what the visitor has
    /// seen there if that is of another history, which takes an election.
    async fn vet(&self, cluster: &Cluster) -> u64 {
        let system = cluster.leadership().view().system;
        let seen = self.data().position(system);
        if let Some(seen) = seen.filter(|seen| cluster.leadership().is_unknown(*seen))
            && let Some(instead) = cluster.replacement_for(seen).await
        {
            self.data().replace_brought(instead);
        }
        system
    }

    /// Has the visitor keep positions for so long at least.
    pub(crate) fn keep_for(&self, age: Option<Duration>) {
        let mut data = self.data();
        data.longest_age = data.longest_age.max(age.unwrap_or_default());
    }

    /// Records a read, and what it has shown. None where it failed.
    pub(crate) fn record_read(&self, begun: Instant, shown: Option<(ServedBy, Position)>) {
        let mut data = self.data();
        data.record_query(shown.map(|(served_by, _)| served_by), begun.elapsed());
        if let Some((ServedBy { role, .. }, position)) = shown {
            data.record_read(position, role);
        }
    }

    /// Records that a write has failed at a primary that was no further than `bound`: the visitor may
    /// know of what it shows, as of the row that violates a constraint.
    pub(crate) fn record_failed_write(&self, bound: Position) {
        self.data().record_write(bound);
    }

    /// Records a write, and the position of its commit. None where it failed.
    pub(crate) fn record_write(&self, begun: Instant, committed: Option<(ServedBy, Position)>) {
        let mut data = self.data();
        data.record_query(committed.map(|(served_by, _)| served_by), begun.elapsed());
        if let Some((_, position)) = committed {
            data.record_write(position);
        }
    }
}
