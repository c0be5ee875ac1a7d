//! Servers that the tests of one process share: one world for each list of regions.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::{LabError, World};

/// The primary's region, and those of the replicas.
type Regions = (&'static str, &'static [&'static str]);

/// Never dropped; their servers stop with the process.
static WORLDS: Mutex<BTreeMap<Regions, Arc<OnceCell<Arc<World>>>>> = Mutex::new(BTreeMap::new());

/// The shared world of these regions. The first test that asks starts it. It is bound to no
/// runtime.
pub(super) async fn get(
    primary: &'static str,
    replicas: &'static [&'static str],
) -> Result<Arc<World>, LabError> {
    let world = WORLDS.lock().entry((primary, replicas)).or_default().clone();
    let start = async || {
        let world =
            World::builder().primary(primary).replicas(replicas.iter().copied()).shared_by_tests();
        world.start().await.map(Arc::new)
    };
    world.get_or_try_init(start).await.cloned()
}
