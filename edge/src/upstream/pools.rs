//! The connection pools of every place that a visitor has chosen.
//!
//! Fly's proxies keep connections open among each other, and so do these pools: a request crosses a
//! link once, without a handshake that crosses it before.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use archipelago_lab::{LabError, Links};
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::pool::ConnectionPool;
use crate::instance::Instance;

/// How long after its last request a place keeps connections open.
const KEEP_WARM: Duration = Duration::from_mins(10);

/// How often the connections of a place are renewed.
const INTERVAL: Duration = Duration::from_secs(1);

/// The pools of all places, opened when a visitor first stands there.
#[derive(Debug)]
pub(crate) struct Pools {
    instances: Vec<Instance>,
    links: Links,
    by_place: Mutex<HashMap<String, Arc<PlacePools>>>,
}

/// The pools from one place, one to each instance.
#[derive(Debug)]
pub(crate) struct PlacePools {
    pub(crate) place: String,
    links: Links,
    pools: Vec<ConnectionPool>,
    last_used: Mutex<Instant>,
}

impl Pools {
    pub(crate) fn new(instances: Vec<Instance>, links: Links) -> Self {
        Self { instances, links, by_place: Mutex::default() }
    }

    /// The pools from `place`, which are kept warm from now on.
    ///
    /// # Errors
    /// When no local port is free for a link.
    pub(crate) fn of_place(&self, place: &str) -> Result<Arc<PlacePools>, LabError> {
        let mut by_place = self.by_place.lock();
        if let Some(pools) = by_place.get(place) {
            *pools.last_used.lock() = Instant::now();
            return Ok(pools.clone());
        }
        let pools = PlacePools::open(place, &self.instances, &self.links)?;
        by_place.insert(place.to_owned(), pools.clone());
        Ok(pools)
    }
}

impl PlacePools {
    fn open(place: &str, instances: &[Instance], links: &Links) -> Result<Arc<Self>, LabError> {
        let pool = |instance: &Instance| {
            let link = links.proxy(place, &instance.region, instance.address)?;
            Ok(ConnectionPool::new(instance.region.clone(), link, instance.address))
        };
        let pools = Arc::new(Self {
            place: place.to_owned(),
            links: links.clone(),
            pools: instances.iter().map(pool).collect::<Result<_, LabError>>()?,
            last_used: Mutex::new(Instant::now()),
        });
        tokio::spawn(keep_warm(Arc::downgrade(&pools)));
        Ok(pools)
    }

    /// The pool to the instance in `region`.
    pub(crate) fn to(&self, region: &str) -> Option<&ConnectionPool> {
        self.pools.iter().find(|pool| pool.region == region)
    }

    /// Whether the link to `region` is cut.
    pub(crate) fn is_cut(&self, region: &str) -> bool {
        self.links.is_cut(&self.place, region)
    }
}

/// Renews the connections of a recently used place, until the edge is dropped.
async fn keep_warm(pools: Weak<PlacePools>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(pools) = pools.upgrade() else { return };
        if pools.last_used.lock().elapsed() < KEEP_WARM {
            // No handshake crosses a link that is cut.
            let reachable = pools.pools.iter().filter(|pool| !pools.is_cut(&pool.region));
            join_all(reachable.map(ConnectionPool::keep_warm)).await;
        }
    }
}
