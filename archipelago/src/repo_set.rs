//! What every generated `Repos` is to code that knows no region's name: extractors, settings, status pages.

use std::future::Future;
use std::time::Duration;

use futures_util::future::join_all;

use crate::{Cluster, Member, Pool, Primary, RegionInfo, Replica, Writes};

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
    /// How far behind the primary a read may be that says nothing else: `[routing] max_lag`.
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

    /// Every database, and what is known of them.
    fn cluster(&self) -> &Cluster;

    /// Writes.
    fn primary(&self) -> Primary<'_> {
        self.cluster().primary()
    }

    /// Reads, near this instance.
    fn replica(&self) -> Replica<'_>;

    /// Reads, near `region`.
    fn replica_in(&self, region: &str) -> Replica<'_>;

    /// Reads from the database of `region` and no other, however far behind it is; none where `region` has none.
    fn only(&self, region: &str) -> Option<Replica<'_>> {
        self.members().find(|member| member.info().code == region).map(Replica::only)
    }

    /// Every region's database, in the order of [`REGIONS`](Self::REGIONS).
    fn members(&self) -> impl Iterator<Item = &Member> + Send {
        self.cluster().members()
    }

    /// Every pool: of each region the one for writing, which only the primary uses, and the one for reading.
    fn pools(&self) -> impl Iterator<Item = &Pool> + Send {
        self.members().flat_map(|member| [member.writing(), member.reading()])
    }

    /// The one that takes the writes, as far as this process knows.
    fn leader(&self) -> &Member {
        self.cluster().leader()
    }

    /// Opens a connection to the primary and to whoever serves this instance's reads, so that the first visitor need not wait.
    /// They are the calling thread's; an Actix worker does this when it starts. A database that is down is reported in the log and
    /// tried again in the background.
    fn warm_up(&self) -> impl Future<Output = ()> + Send {
        async {
            self.cluster().watch(self.cluster().leader_index());
            self.replica().watch();
            let own = self.replica().served_by().region;
            let reading =
                self.members().filter(|member| member.info().code == own).map(Member::reading);
            join_all(reading.chain([self.leader().writing()]).map(async |pool| {
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
            self.cluster().stop();
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
