//! What every generated `Repos` is to code that knows no region's name: extractors, settings, status pages.

use std::future::Future;
use std::time::Duration;

use futures_util::future::join_all;

use crate::{Access, Pool, Primary, RegionInfo, Replica, Writes};

/// A set of repos made by [`repos!`](crate::repos). The generated methods of the same names say more.
pub trait RepoSet: Send + Sync + Sized + 'static {
    /// The primary's region.
    const PRIMARY: &'static RegionInfo;
    /// Every region, the primary first.
    const REGIONS: &'static [RegionInfo];
    /// Every place that [`nearest_to`](Self::nearest_to) knows.
    const PLACES: &'static [&'static str];
    /// Connections to each region where `POOL_SIZE` says nothing.
    const POOL_SIZE: u32 = 10;
    /// How far a replica may be behind: `[routing] max_lag`. Carried for the router; nothing measures lag yet.
    const MAX_LAG: Duration = Duration::from_secs(10);
    /// Reads that may be under way to the primary at once, from an instance elsewhere: `[routing] max_spill`.
    const MAX_SPILL: u32 = 100;
    /// Where a write from afar is run: `[routing] writes`. An Actix `Writer` obeys it.
    const WRITES: Writes = Writes::Replay;

    /// The replicas by nearness to a place, the nearest first; empty for a place that nobody knows.
    fn nearest_to(place: &str) -> impl Iterator<Item = &'static str>;

    /// Whether `code` is a region of this set, or a place that [`nearest_to`](Self::nearest_to) knows.
    #[must_use]
    fn knows(code: &str) -> bool {
        Self::PLACES.contains(&code) || Self::REGIONS.iter().any(|info| info.code == code)
    }

    /// Where this instance runs; empty when nobody said.
    fn region(&self) -> &str;

    /// Writes.
    fn primary(&self) -> Primary<'_>;

    /// Reads, near this instance.
    fn replica(&self) -> Replica<'_>;

    /// Reads, near `region`.
    fn replica_in(&self, region: &str) -> Replica<'_>;

    /// Every pool: the primary's for writing, then each region's for reading in the order of [`REGIONS`](Self::REGIONS).
    fn pools(&self) -> impl Iterator<Item = &Pool> + Send;

    /// Opens a connection to the primary and to whoever serves this instance's reads, so that the first visitor need not wait.
    /// They are the calling thread's; an Actix worker does this when it starts. A database that is down is reported in the log and
    /// tried again by the first query.
    fn warm_up(&self) -> impl Future<Output = ()> + Send {
        async {
            let own = self.replica().served_by().region;
            let wanted = self.pools().filter(|pool| pool.access() == Access::Write || pool.info().code == own);
            join_all(wanted.map(async |pool| {
                if let Err(error) = pool.ping().await {
                    tracing::warn!(%error, url = %pool.url(), "starting without a database; it will be tried again");
                }
            }))
            .await;
        }
    }

    /// Closes every pool: no new queries, and those in flight may end, at most [`Timeouts::shutdown`](crate::Timeouts::shutdown).
    fn shut_down(&self) -> impl Future<Output = ()> + Send {
        async {
            self.pools().for_each(Pool::close);
            let limit = self.pools().next().map_or(Duration::ZERO, |pool| pool.timeouts().shutdown);
            let drained = async {
                for pool in self.pools() {
                    pool.closed().await;
                }
            };
            if tokio::time::timeout(limit, drained).await.is_err() {
                tracing::warn!("queries still run; leaving them");
            }
        }
    }
}
