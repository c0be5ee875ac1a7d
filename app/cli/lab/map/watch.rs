//! Watches the servers and lines of the lab, and how many users each database shows.

use std::sync::Arc;
use std::time::Duration;

use archipelago::{DatabaseUrl, RegionSet};
use archipelago_lab::{Command, CommandOutput, LinkStatus, Remote, ServerStatus};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::console::CommandError;
use crate::repos::Repos;
use crate::schema::users;

/// Between two looks.
const TICK: Duration = Duration::from_millis(200);

/// For a database to count its users: one that is frozen or down does not.
const COUNTING: Duration = Duration::from_millis(500);

/// Watches while a page is open.
pub(super) struct Watch(watch::Sender<String>);

/// A database whose users are counted.
struct Counter {
    region: String,
    url: DatabaseUrl,
    connection: Option<AsyncPgConnection>,
}

#[derive(Serialize)]
struct ShownWorld {
    servers: Vec<ShownServer>,
    links: Vec<LinkStatus>,
}

#[derive(Serialize)]
struct ShownServer {
    #[serde(flatten)]
    status: ServerStatus,
    /// None where it does not answer.
    users: Option<i64>,
}

#[derive(Serialize)]
struct ShownPlace {
    code: &'static str,
    city: Option<&'static str>,
    /// Degrees east and south.
    x: f64,
    y: f64,
}

/// Every place where a visitor can stand, as JSON.
pub(super) fn places() -> String {
    let places = <Repos as RegionSet>::COORDINATES.iter().map(|at| ShownPlace {
        code: at.place,
        city: archipelago_regions::built_in_places()
            .iter()
            .find(|place| place.code == at.place)
            .and_then(|place| place.city),
        x: at.longitude,
        y: -at.latitude,
    });
    serde_json::to_string(&places.collect::<Vec<_>>()).unwrap_or_default()
}

impl Watch {
    pub(super) async fn start(lab: Remote) -> Result<Arc<Self>, CommandError> {
        let mut counters = Vec::new();
        for server in lab.urls(None).await? {
            let url = server.url.parse()?;
            counters.push(Counter { region: server.region, url, connection: None });
        }
        let watch = Arc::new(Self(watch::Sender::default()));
        tokio::spawn(watch.clone().look(lab, counters));
        Ok(watch)
    }

    /// The world, as JSON, after each change.
    pub(super) fn worlds(&self) -> watch::Receiver<String> {
        self.0.subscribe()
    }

    async fn look(self: Arc<Self>, lab: Remote, mut counters: Vec<Counter>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.0.receiver_count() == 0 {
                continue;
            }
            let Ok(CommandOutput::Status(status)) = lab.send(&Command::Status).await else {
                continue;
            };
            let users = join_all(counters.iter_mut().map(Counter::count)).await;
            let servers = status.servers.into_iter().map(|status| {
                let counted = users.iter().find(|(region, _)| **region == status.region);
                ShownServer { users: counted.and_then(|(_, users)| *users), status }
            });
            let world = ShownWorld { servers: servers.collect(), links: status.links };
            let json = serde_json::to_string(&world).unwrap_or_default();
            self.0.send_if_modified(|known| {
                let is_new = *known != json;
                *known = json;
                is_new
            });
        }
    }
}

impl Counter {
    async fn count(&mut self) -> (&str, Option<i64>) {
        let Self { region, url, connection } = self;
        let counted = timeout(COUNTING, async {
            let mut open = match connection.take() {
                Some(open) => open,
                None => archipelago::connect(url).await.ok()?,
            };
            let users = users::table.count().get_result(&mut open).await.ok()?;
            *connection = Some(open);
            Some(users)
        });
        (region, counted.await.ok().flatten())
    }
}
