//! A place where visitors stand: the routes that lead from there to the instances.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::builder::Instance;
use crate::route::Route;
use archipelago_lab::{LabError, Links};

/// How long after its last request a place still has connections kept open.
const ATTENDED: Duration = Duration::from_mins(10);

/// How often they are looked after.
const ROUND: Duration = Duration::from_secs(1);

/// A place that somebody has chosen.
#[derive(Debug)]
pub(crate) struct Stand {
    place: String,
    lines: Links,
    /// One for each instance, in the order of the description.
    pub(crate) routes: Vec<Route>,
    last_visit: Mutex<Instant>,
}

impl Stand {
    /// Opens the doors from `place`, and keeps a connection waiting behind each: what Fly's proxies have among each other, so that
    /// a request crosses a line once, without a handshake that crosses it first.
    ///
    /// # Errors
    /// When there is no port for a door.
    pub(crate) fn open(
        place: &str,
        instances: &[Instance],
        lines: &Links,
    ) -> Result<Arc<Self>, LabError> {
        let route = |instance: &Instance| {
            let door = lines.proxy(place, &instance.region, instance.address)?;
            Ok(Route::new(instance.region.clone(), door, instance.address))
        };
        let routes = instances.iter().map(route).collect::<Result<_, LabError>>()?;
        let (place, lines, last_visit) =
            (place.to_owned(), lines.clone(), Mutex::new(Instant::now()));
        let stand = Arc::new(Self { place, lines, routes, last_visit });
        tokio::spawn(keep_warm(Arc::downgrade(&stand)));
        Ok(stand)
    }

    /// Somebody is there.
    pub(crate) fn visit(&self) {
        *self.last_visit.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    async fn warm(&self) {
        // On a line that is cut nothing would come of it.
        let routes =
            self.routes.iter().filter(|route| !self.lines.is_cut(&self.place, &route.region));
        join_all(routes.map(Route::warm)).await;
    }

    fn is_attended(&self) -> bool {
        self.last_visit.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < ATTENDED
    }
}

/// Until the edge is gone.
async fn keep_warm(stand: Weak<Stand>) {
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let Some(stand) = stand.upgrade() else { return };
        if stand.is_attended() {
            stand.warm().await;
        }
    }
}
