//! Servers that the tests of one process share: one set of them for each description.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::{LabError, World};

/// The primary's region, and those of the replicas.
type Regions = (&'static str, &'static [&'static str]);

/// They stop with the process, like everything in a `static`.
static SETS: Mutex<BTreeMap<Regions, Arc<OnceCell<Arc<World>>>>> = Mutex::new(BTreeMap::new());

/// The servers of these regions; the first who asks starts them, on whichever runtime: nothing of a world stays there.
pub(super) async fn servers(
    primary: &'static str,
    replicas: &'static [&'static str],
) -> Result<Arc<World>, LabError> {
    let set = SETS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry((primary, replicas))
        .or_default()
        .clone();
    let start = async || {
        let world = World::builder().primary(primary).replicas(replicas.iter().copied()).shared();
        world.start().await.map(Arc::new)
    };
    set.get_or_try_init(start).await.cloned()
}
