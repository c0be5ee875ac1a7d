//! What visitors visit: servers, an instance of the app in front of each, lines between them, and an edge.

use std::collections::HashMap;
use std::env::VarError;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use archipelago::{Protection, Role, override_variable};
use archipelago_app::repos::Repos;
use archipelago_app::server::{self, Running};
use archipelago_app::{migrations, settings::Settings};
use archipelago_edge::{Edge, Instance};
use archipelago_lab::{Distances, World};

use crate::Failed;

/// For a replica to show what the primary has, when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Anything that all instances share.
const SECRET_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Connections to each region.
const POOL_SIZE: &str = "4";

/// The nearest neighbours, and how much longer each step in the order of regions.toml makes the way: a minute then holds thousands
/// of requests.
const ROUND_TRIP: [Duration; 2] = [Duration::from_millis(6), Duration::from_millis(6)];

/// How the instances are set.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Instead of that of regions.toml, which is too long for a minute of faults.
    pub max_lag: Duration,
    /// What is switched off, to see that it is missed.
    pub without: Option<Protection>,
}

/// Everything that runs.
pub struct Stage {
    /// The servers.
    pub world: World,
    edge: Edge,
    rules: Rules,
    instances: Mutex<HashMap<String, Running>>,
}

/// The regions, the primary's first.
#[must_use]
pub fn regions() -> Vec<&'static str> {
    let of = |role: Role| {
        Repos::REGIONS.iter().filter(move |info| info.role == role).map(|info| info.code)
    };
    of(Role::Primary).chain(of(Role::Replica)).collect()
}

impl Stage {
    /// Starts it all. The data is new.
    ///
    /// # Errors
    /// When there is no `PostgreSQL`, or something does not start.
    pub async fn start(rules: Rules) -> Result<Self, Failed> {
        let [primary, replicas @ ..] = &*regions() else {
            return Err("regions.toml names no primary".into());
        };
        let builder = World::builder().primary(*primary).replicas(replicas.iter().copied());
        let world = builder.distances(distances()).start().await?;
        migrations::run(&world.primary().url().parse()?).await?;
        let position = world.primary().position().await?;
        for replica in world.replicas() {
            replica.wait_until_replayed(position, PATIENCE).await?;
        }
        let mut instances = HashMap::new();
        for region in regions() {
            instances
                .insert(region.to_owned(), server::start(&settings(&world, rules, region, 0)?)?);
        }
        let behind = instances
            .iter()
            .map(|(region, running)| Instance { region: region.clone(), address: running.address });
        let edge =
            Edge::builder(world.links().clone(), behind).default_place(*primary).start().await?;
        Ok(Self { world, edge, rules, instances: Mutex::new(instances) })
    }

    /// Where the edge is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.edge.address())
    }

    /// Stops the instance in a region, in order, and starts it after a while where it was.
    ///
    /// # Errors
    /// When something else listens there now.
    pub async fn restart(&self, region: &str, after: Duration) -> Result<(), Failed> {
        let Some(running) = self.instances().remove(region) else {
            return Err(format!("no instance in {region}").into());
        };
        let port = running.address.port();
        tokio::join!(running.stop(), tokio::time::sleep(after));
        let running = server::start(&settings(&self.world, self.rules, region, port)?)?;
        self.instances().insert(region.to_owned(), running);
        Ok(())
    }

    /// Stops it all.
    ///
    /// # Errors
    /// When a server does not stop.
    pub async fn stop(self) -> Result<(), Failed> {
        self.edge.shutdown().await;
        let instances = self.instances.into_inner().unwrap_or_else(PoisonError::into_inner);
        futures_util::future::join_all(instances.into_values().map(Running::stop)).await;
        Ok(self.world.shutdown().await?)
    }

    fn instances(&self) -> std::sync::MutexGuard<'_, HashMap<String, Running>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn settings(world: &World, rules: Rules, region: &str, port: u16) -> Result<Settings, Failed> {
    let urls = world
        .servers()
        .map(|server| Ok((override_variable(server.region()), server.url_from(region)?)));
    let mut vars = urls.collect::<Result<HashMap<_, _>, Failed>>()?;
    let port = port.to_string();
    let own = [
        ("FLY_REGION", region),
        ("PORT", &port),
        ("METRICS_PORT", "0"),
        ("POOL_SIZE", POOL_SIZE),
        ("SECRET_KEY", SECRET_KEY),
    ];
    vars.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let settings =
        Settings::from_vars(&|name: &str| vars.get(name).cloned().ok_or(VarError::NotPresent));
    let mut settings = settings
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let databases = settings.databases.with_max_lag(rules.max_lag);
    settings.databases = rules.without.into_iter().fold(databases, archipelago::Settings::without);
    Ok(settings)
}

/// As if the regions lay on a road, in their order.
fn distances() -> Distances {
    let [shortest, step] = ROUND_TRIP;
    let mut distances = Distances::default();
    for (at, a) in regions().iter().enumerate() {
        for (further, b) in (0..).zip(&regions()[at + 1..]) {
            distances = distances.with_round_trip(a, b, shortest + step * further);
        }
    }
    distances
}
