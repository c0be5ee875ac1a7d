//! The system under test: real servers with distances between them, an instance of the app in each
//! region, and the edge proxy in front of the instances.

use std::collections::HashMap;
use std::env::VarError;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use archipelago::{Role, Safeguard, override_variable};
use archipelago_app::repos::Repos;
use archipelago_app::server::{self, Running};
use archipelago_app::{migrations, settings::Settings};
use archipelago_edge::{Edge, Instance};
use archipelago_lab::{Distances, World};
use futures_util::future::{join_all, try_join_all};
use tokio::time::sleep;
use tokio_postgres::{Client, Config, NoTls};

use crate::BoxError;
use crate::workload::{Register, Version};

/// The `max_lag` of runs. It is shorter than many of their faults, so that reads have to leave a
/// replica, and longer than the second between two probes of a server.
pub const MAX_LAG: Duration = Duration::from_secs(2);

/// Where the rows of the old servers are put in order before the app sees them.
const RESTORED: &str = "restored";

/// The secret key of all instances; any value will do.
const SECRET_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The connections of an instance to each server.
const POOL_SIZE: &str = "4";

/// The round trip between neighbours in the order of regions.toml, and what each further region
/// adds. Short ones let a run send thousands of requests a minute.
const NEIGHBOURS: Duration = Duration::from_millis(6);
const FURTHER_REGION: Duration = Duration::from_millis(6);

/// The settings that all instances of the app share.
#[derive(Clone, Debug)]
pub struct InstanceConfig {
    /// Replaces that of regions.toml, which is too long for a run.
    pub max_lag: Duration,
    /// The safeguards that are switched off, to see that the checker finds the violation.
    pub disabled: Vec<Safeguard>,
}

/// Everything that runs.
pub struct Deployment {
    /// The servers and the lines between them.
    pub world: World,
    edge: Edge,
    config: InstanceConfig,
    instances: Mutex<HashMap<String, Running>>,
}

/// The regions of regions.toml, the primary's first.
#[must_use]
pub fn regions() -> Vec<&'static str> {
    let with_role = |role: Role| {
        Repos::REGIONS.iter().filter(move |info| info.role == role).map(|info| info.code)
    };
    with_role(Role::Primary).chain(with_role(Role::Replica)).collect()
}

/// The timelines of one database.
#[derive(Clone, Debug, Default)]
pub struct TimelineHistory {
    /// The system identifier.
    pub system: u64,
    /// The timeline of the primary.
    pub newest: u32,
    /// PostgreSQL's own record of the timelines before it, which is empty on timeline 1.
    pub file: String,
}

impl Deployment {
    /// Starts servers with an empty table of users, the instances and the edge.
    ///
    /// # Errors
    /// PostgreSQL is missing, or a part does not start.
    pub async fn start(config: InstanceConfig) -> Result<Self, BoxError> {
        let [primary, replicas @ ..] = &*regions() else {
            return Err("regions.toml names no primary".into());
        };
        let builder = World::builder().primary(*primary).replicas(replicas.iter().copied());
        let world = builder.distances(distances()).start().await?;
        migrations::run(&world.primary().url().parse()?).await?;
        world.catch_up().await?;
        let mut instances = HashMap::new();
        for region in regions() {
            let settings = settings(&world, &config, region, 0)?;
            instances.insert(region.to_owned(), server::start(&settings)?);
        }
        let upstreams = instances
            .iter()
            .map(|(region, running)| Instance { region: region.clone(), address: running.address });
        let edge =
            Edge::builder(world.links().clone(), upstreams).default_place(*primary).start().await?;
        Ok(Self { world, edge, config, instances: Mutex::new(instances) })
    }

    /// The edge's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.edge.address())
    }

    /// Shuts a region's instance down, and starts it on the same port after `pause`.
    ///
    /// # Errors
    /// The region has no instance, or another program has taken its port.
    pub async fn restart_app(&self, region: &str, pause: Duration) -> Result<(), BoxError> {
        let Some(running) = self.instances().remove(region) else {
            return Err(format!("no instance of the app in {region}").into());
        };
        let port = running.address.port();
        tokio::join!(running.stop(), sleep(pause));
        let running = server::start(&settings(&self.world, &self.config, region, port)?)?;
        self.instances().insert(region.to_owned(), running);
        Ok(())
    }

    /// Replaces all servers: a dump of the users is restored into a new primary behind the same URL,
    /// which every replica then copies. The app sees either all rows or no database.
    ///
    /// # Errors
    /// A server does not stop or start.
    pub async fn restore(&self) -> Result<(), BoxError> {
        const DUMP: &str = "SELECT id, name, age, idempotency_key::text FROM users";
        const INSERT: &str = "INSERT INTO users (id, name, age, idempotency_key) \
            OVERRIDING SYSTEM VALUE SELECT a, b, c, d::uuid \
            FROM unnest($1::bigint[], $2::text[], $3::int[], $4::text[]) AS row (a, b, c, d)";
        let primary = self.world.primary();
        let rows = primary.client().await?.query(DUMP, &[]).await?;
        let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        let names: Vec<String> = rows.iter().map(|row| row.get(1)).collect();
        let ages: Vec<i32> = rows.iter().map(|row| row.get(2)).collect();
        let keys: Vec<Option<String>> = rows.iter().map(|row| row.get(3)).collect();
        self.world.start_anew().await?;

        let admin = session(&primary.admin_url()).await?;
        admin.batch_execute(&format!("CREATE DATABASE {RESTORED} OWNER app")).await?;
        migrations::run(&primary.url_of(RESTORED).parse()?).await?;
        let restored = session(&primary.url_of(RESTORED)).await?;
        restored.execute(INSERT, &[&ids, &names, &ages, &keys]).await?;
        let next = "SELECT setval(pg_get_serial_sequence('users', 'id'), max(id)) FROM users";
        restored.execute(next, &[]).await?;
        drop(restored);
        admin.batch_execute("DROP DATABASE app WITH (FORCE)").await?;
        // The session in it ends a moment after its client.
        let ended =
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1";
        admin.execute(ended, &[&RESTORED]).await?;
        admin.batch_execute(&format!("ALTER DATABASE {RESTORED} RENAME TO app")).await?;
        try_join_all(self.world.replicas().map(archipelago_lab::Server::start)).await?;
        Ok(())
    }

    /// Every register on the primary. A register is listed twice if it has two users.
    ///
    /// # Errors
    /// The primary does not answer.
    pub async fn registers(&self) -> Result<Vec<(Register, Version)>, BoxError> {
        let client = self.world.primary().client().await?;
        let rows = client.query("SELECT name FROM users ORDER BY id", &[]).await?;
        Ok(rows.iter().filter_map(|row| Register::parse(row.get(0))).collect())
    }

    /// The timelines of the primary's database.
    ///
    /// # Errors
    /// The primary does not answer.
    pub async fn timeline_history(&self) -> Result<TimelineHistory, BoxError> {
        const SYSTEM: &str = "SELECT system_identifier FROM pg_control_system()";
        let primary = self.world.primary();
        let newest = primary.timeline().await?;
        let client = session(&primary.admin_url()).await?;
        let system = client.query_one(SYSTEM, &[]).await?.get::<_, i64>(0).cast_unsigned();
        let file = if newest == 1 {
            String::new()
        } else {
            let file = format!("pg_wal/{newest:08X}.history");
            client.query_one("SELECT pg_read_file($1)", &[&file]).await?.get(0)
        };
        Ok(TimelineHistory { system, newest, file })
    }

    /// Stops everything and deletes the data.
    ///
    /// # Errors
    /// A server does not stop.
    pub async fn stop(self) -> Result<(), BoxError> {
        self.edge.shutdown().await;
        let instances = self.instances.into_inner().unwrap_or_else(PoisonError::into_inner);
        join_all(instances.into_values().map(Running::stop)).await;
        Ok(self.world.shutdown().await?)
    }

    fn instances(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session of the checker itself, for a few statements.
async fn session(url: &str) -> Result<Client, BoxError> {
    let config: Config = url.parse()?;
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The settings of the instance in a region, on a free port if `port` is 0.
fn settings(
    world: &World,
    config: &InstanceConfig,
    region: &str,
    port: u16,
) -> Result<Settings, BoxError> {
    let urls = world
        .servers()
        .map(|server| Ok((override_variable(server.region()), server.url_from(region)?)));
    let mut variables = urls.collect::<Result<HashMap<_, _>, BoxError>>()?;
    let port = port.to_string();
    let own = [
        ("FLY_REGION", region),
        ("PORT", &port),
        ("METRICS_PORT", "0"),
        ("POOL_SIZE", POOL_SIZE),
        ("SECRET_KEY", SECRET_KEY),
    ];
    variables.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let lookup = |name: &str| variables.get(name).cloned().ok_or(VarError::NotPresent);
    let mut settings = Settings::from_vars(&lookup)?;
    let databases = settings.databases.with_max_lag(config.max_lag);
    let disabled = config.disabled.iter().copied();
    settings.databases = disabled.fold(databases, archipelago::Settings::without);
    Ok(settings)
}

/// Places the regions on a line, in their order.
fn distances() -> Distances {
    let mut distances = Distances::default();
    for (at, a) in regions().iter().enumerate() {
        for (between, b) in (0..).zip(&regions()[at + 1..]) {
            distances = distances.with_round_trip(a, b, NEIGHBOURS + FURTHER_REGION * between);
        }
    }
    distances
}
