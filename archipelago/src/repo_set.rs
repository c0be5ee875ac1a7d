//! What every generated `Repos` is to code that knows no region's name: extractors and status
//! pages.

use std::future::Future;
use std::time::Duration;

use futures_util::future::join_all;

use crate::cluster::{Cluster, Member};
use crate::pool::Pool;
use crate::read::Replica;
use crate::settings::RegionSet;
use crate::visitor::{Replay, WriteRequest};
use crate::write::Primary;

/// A set of repos made by [`repos!`](crate::repos). Where there is a generated method of the same
/// name, its doc says more.
pub trait RepoSet: RegionSet + Send + Sync + Sized {
    /// The region that this instance runs in; empty where none is set.
    fn region(&self) -> &str;

    /// Every database, and what is known of them.
    fn cluster(&self) -> &Cluster;

    /// Reads, near this instance.
    fn replica(&self) -> Replica<'_>;

    /// Reads, near `region`.
    fn replica_in(&self, region: &str) -> Replica<'_>;

    /// Writes.
    fn primary(&self) -> Primary<'_> {
        Primary::new(self.cluster())
    }

    /// Reads from the database of `region` only, however far behind it is. None where `region` has
    /// no database.
    fn only(&self, region: &str) -> Option<Replica<'_>> {
        self.members().find(|member| member.info().code == region).map(Replica::only)
    }

    /// Every region's database, in the order of [`REGIONS`](RegionSet::REGIONS).
    fn members(&self) -> impl Iterator<Item = &Member> + Send {
        self.cluster().members()
    }

    /// Every pool: of each region the one for writing, which only the primary uses, and the one for
    /// reading.
    fn pools(&self) -> impl Iterator<Item = &Pool> + Send {
        self.members().flat_map(|member| [member.writing(), member.reading()])
    }

    /// The member that takes the writes, as far as this process knows.
    fn leader(&self) -> &Member {
        self.cluster().leader()
    }

    /// The answer that has the proxy run a request that writes in the primary's region. None where
    /// this instance runs it: see [`WriteRequest`].
    fn replay(&self, request: WriteRequest) -> Option<Replay> {
        // The region of the leader: after a promotion it is another than at build time.
        request.replay(Self::WRITES, self.region(), self.leader().info().region)
    }

    /// Opens a connection to the primary and one to the database that serves this instance's reads,
    /// so that the first visitor does not wait. That for reading is the calling runtime's; an Actix
    /// worker does this when it starts. A database that is down is reported in the log and tried
    /// again in the background.
    fn warm_up(&self) -> impl Future<Output = ()> + Send {
        async {
            self.cluster().watch(self.cluster().leader_index());
            self.replica().watch();
            let own = self.replica().served_by().region;
            let reading =
                self.members().filter(|member| member.info().region == own).map(Member::reading);
            join_all(reading.chain([self.leader().writing()]).map(async |pool| {
                if let Err(error) = pool.warm_up().await {
                    tracing::warn!(
                        %error,
                        url = %pool.url(),
                        "starting without a database; it will be tried again"
                    );
                }
            }))
            .await;
        }
    }

    /// Closes every pool: it takes no more queries, and waits for those in flight, at most
    /// [`Timeouts::shutdown`](crate::Timeouts::shutdown).
    fn shut_down(&self) -> impl Future<Output = ()> + Send {
        async {
            self.cluster().stop_monitor();
            self.pools().for_each(Pool::close);
            let limit = self.pools().next().map_or(Duration::ZERO, |pool| pool.timeouts().shutdown);
            let drained = async {
                for pool in self.pools() {
                    pool.closed().await;
                }
            };
            if tokio::time::timeout(limit, drained).await.is_err() {
                tracing::warn!("queries still run; shutting down without them");
            }
        }
    }
}
