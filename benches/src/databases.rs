//! One primary and one replica on this machine, migrated and filled with users.

mod session;

use std::thread::available_parallelism;
use std::time::Duration;

use archipelago::{DatabaseUrl, RegionSet};
use archipelago_app::migrations;
use archipelago_app::repos::Repos;
use archipelago_lab::{Distances, Server, World};
use procfs::Current;

pub use self::session::AdminSession;
use crate::Failed;
use crate::contenders::{PRIMARY_URL, pool_size, replica_region, replica_url};

/// The most time that the replica may take to replay what the primary has written.
const CATCH_UP_DEADLINE: Duration = Duration::from_mins(2);

/// Inserts users whose names have characters that HTML escapes.
const INSERT_USERS: &str = "INSERT INTO users (name, age) SELECT 'Zoë O''Neil & Co. ' || n, n % 151 FROM generate_series(1, $1::bigint) AS n";

/// The two servers. They stop when this value is dropped.
pub struct Databases {
    world: World,
    /// A session at the primary.
    pub primary: AdminSession,
    /// A session at the replica.
    pub replica: AdminSession,
}

impl Databases {
    /// Starts the servers at these distances, and creates as many users.
    ///
    /// # Errors
    /// When PostgreSQL is not found or does not start.
    pub async fn start(distances: Distances, users: u32) -> Result<Self, Failed> {
        Self::prepare(world(distances).await?, users).await
    }

    /// The same with another `shared_buffers` than the lab's, which is small.
    ///
    /// # Errors
    /// When PostgreSQL is not found or does not start, or `shared_buffers` is not a size.
    pub async fn start_with(
        distances: Distances,
        users: u32,
        shared_buffers: &str,
    ) -> Result<Self, Failed> {
        let world = world(distances).await?;
        for server in world.servers() {
            let session = AdminSession::new(server).await?;
            session
                .execute(&format!("ALTER SYSTEM SET shared_buffers = '{shared_buffers}'"))
                .await?;
        }
        for server in world.servers() {
            server.stop().await?;
        }
        for server in world.servers() {
            server.start().await?;
        }
        Self::prepare(world, users).await
    }

    async fn prepare(world: World, users: u32) -> Result<Self, Failed> {
        migrate_and_fill(&world, users).await?;
        let primary = AdminSession::new(world.primary()).await?;
        let replica = AdminSession::new(replica(&world)?).await?;
        let databases = Self { world, primary, replica };
        databases.catch_up().await?;
        // Otherwise a checkpoint of the new rows would run during a measurement.
        for session in [&databases.primary, &databases.replica] {
            session.execute("CHECKPOINT").await?;
        }
        Ok(databases)
    }

    /// Waits until the replica has replayed all that the primary has written.
    ///
    /// # Errors
    /// When the replica takes too long.
    pub async fn catch_up(&self) -> Result<(), Failed> {
        let position = self.world.primary().position().await?;
        Ok(replica(&self.world)?.wait_until_replayed(position, CATCH_UP_DEADLINE).await?)
    }

    /// Waits for `time`, then counts the apps' connections to the primary and to the replica.
    ///
    /// # Errors
    /// When a server does not answer.
    #[expect(clippy::cast_precision_loss, reason = "no server has 2^53 connections")]
    pub async fn connections_after(&self, time: Duration) -> Result<[f64; 2], Failed> {
        tokio::time::sleep(time).await;
        Ok([self.primary.connections().await? as f64, self.replica.connections().await? as f64])
    }

    /// The environment of a contender beside the replica.
    ///
    /// # Errors
    /// See [`vars_from`](Self::vars_from).
    pub fn vars(&self) -> Result<Vec<(String, String)>, Failed> {
        self.vars_from(replica_region())
    }

    /// The environment of a contender that is at `place` but configured for the replica's region.
    ///
    /// # Errors
    /// When no port is free for the connection between them.
    pub fn vars_from(&self, place: &str) -> Result<Vec<(String, String)>, Failed> {
        let mut vars = instance_vars(replica_region()).to_vec();
        vars.push((PRIMARY_URL.to_owned(), self.world.primary().url_from(place)?));
        vars.push((replica_url(), replica(&self.world)?.url_from(place)?));
        vars.push(("POOL_SIZE".to_owned(), pool_size().to_string()));
        Ok(vars)
    }

    /// Stops the servers.
    ///
    /// # Errors
    /// When a server does not stop.
    pub async fn stop(self) -> Result<(), Failed> {
        Ok(self.world.shutdown().await?)
    }

    /// The settings of the servers and the load of the machine, for the top of a report.
    ///
    /// # Errors
    /// When the primary does not answer.
    pub async fn description(&self) -> Result<String, Failed> {
        let names =
            ["server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers"];
        let mut settings = Vec::new();
        for name in names {
            settings.push(format!("{name} = {}", self.primary.setting(name).await?));
        }
        let settings = settings.join(", ");
        let cores = available_parallelism().map_or(0, usize::from);
        let busy = procfs::LoadAverage::current()?.one;
        let unoptimized =
            if cfg!(debug_assertions) { "\nNot optimized: use `cargo run --release`." } else { "" };
        Ok(format!(
            "{settings}. With fsync off, a commit does not wait for the disk.\n\
             Client, programs and servers share {cores} cores; the load average of the minute \
             before was {busy:.1}.{unoptimized}"
        ))
    }
}

/// Migrates the databases of a world, and creates as many users.
///
/// # Errors
/// When the primary does not answer or refuses.
pub async fn migrate_and_fill(world: &World, users: u32) -> Result<(), Failed> {
    let url: DatabaseUrl = world.primary().url().parse()?;
    migrations::run(&url).await?;
    let owner = world.primary().client().await?;
    owner.execute(INSERT_USERS, &[&i64::from(users)]).await?;
    Ok(owner.batch_execute("VACUUM (ANALYZE) users").await?)
}

/// The environment of an instance in `region`, without database URLs: free ports and a secret key.
#[must_use]
pub fn instance_vars(region: &str) -> [(String, String); 4] {
    [
        ("FLY_REGION".to_owned(), region.to_owned()),
        ("PORT".to_owned(), "0".to_owned()),
        ("METRICS_PORT".to_owned(), "0".to_owned()),
        ("SECRET_KEY".to_owned(), "5ec2e7".repeat(11)[..64].to_owned()),
    ]
}

async fn world(distances: Distances) -> Result<World, Failed> {
    let world = World::builder()
        .primary(Repos::PRIMARY.code)
        .replicas([replica_region()])
        .distances(distances);
    Ok(world.start().await?)
}

fn replica(world: &World) -> Result<&Server, Failed> {
    Ok(world.replicas().next().ok_or("the lab has no replica")?)
}
