//! One primary and one replica on this machine, migrated and full of users, and what is asked of them beside the load.

use std::thread::available_parallelism;
use std::time::Duration;

use archipelago::{DatabaseUrl, RegionSet};
use archipelago_app::migrations;
use archipelago_app::repos::Repos;
use archipelago_lab::{Distances, PgLsn, Server, World};
use procfs::Current;
use procfs::process::Process;
use tokio_postgres::{Client, NoTls};

use crate::Failed;
use crate::contenders::{PRIMARY_URL, pool_size, replica_region, replica_url};

/// For the replica to show what the primary has: far more than it takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// Names that have to be escaped in HTML.
const SEED: &str = "INSERT INTO users (name, age) SELECT 'Zoë O''Neil & Co. ' || n, n % 151 FROM generate_series(1, $1::bigint) AS n";

/// The servers. They stop with this value.
pub struct Databases {
    world: World,
    /// The primary.
    pub primary: Watched,
    /// Its replica.
    pub replica: Watched,
}

/// A server, and a session of the superuser's that watches it.
pub struct Watched {
    session: Client,
    /// The process that all others of the server come from.
    pub postmaster: i32,
}

impl Databases {
    /// Starts the servers so far apart, and makes so many users.
    ///
    /// # Errors
    /// When there is no `PostgreSQL`, or it does not start.
    pub async fn start(distances: Distances, users: u32) -> Result<Self, Failed> {
        Self::on(world(distances).await?, users).await
    }

    /// The same, and each server may keep so much of its tables in memory (`shared_buffers`): the lab's own have little.
    ///
    /// # Errors
    /// As [`start`](Self::start), and when `shared_buffers` is no size.
    pub async fn start_with(
        distances: Distances,
        users: u32,
        shared_buffers: &str,
    ) -> Result<Self, Failed> {
        let world = world(distances).await?;
        for server in world.servers() {
            let (session, connection) = tokio_postgres::connect(&server.admin_url(), NoTls).await?;
            tokio::spawn(connection);
            session
                .batch_execute(&format!("ALTER SYSTEM SET shared_buffers = '{shared_buffers}'"))
                .await?;
        }
        for server in world.servers() {
            server.stop().await?;
        }
        for server in world.servers() {
            server.start().await?;
        }
        Self::on(world, users).await
    }

    async fn on(world: World, users: u32) -> Result<Self, Failed> {
        fill(&world, users).await?;
        let (primary, replica) =
            (Watched::new(world.primary()).await?, Watched::new(replica(&world)?).await?);
        let databases = Self { world, primary, replica };
        databases.settle().await?;
        // What was written to fill them is not to be paid for while something is measured.
        for server in [&databases.primary, &databases.replica] {
            server.session.batch_execute("CHECKPOINT").await?;
        }
        Ok(databases)
    }

    /// Waits until the replica has replayed all that the primary has.
    ///
    /// # Errors
    /// When it does not.
    pub async fn settle(&self) -> Result<(), Failed> {
        let position = self.world.primary().position().await?;
        Ok(replica(&self.world)?.wait_until_replayed(position, PATIENCE).await?)
    }

    /// The environment of a contender, which runs beside the replica.
    ///
    /// # Errors
    /// None but those of [`vars_from`](Self::vars_from).
    pub fn vars(&self) -> Result<Vec<(String, String)>, Failed> {
        self.vars_from(replica_region())
    }

    /// The environment of a contender that stands at `place`, and takes that for the replica's region all the same.
    ///
    /// # Errors
    /// When there is no free port for a line.
    pub fn vars_from(&self, place: &str) -> Result<Vec<(String, String)>, Failed> {
        let mut vars = own_vars(replica_region()).to_vec();
        vars.push((PRIMARY_URL.to_owned(), self.world.primary().url_from(place)?));
        vars.push((replica_url(), replica(&self.world)?.url_from(place)?));
        vars.push(("POOL_SIZE".to_owned(), pool_size().to_string()));
        Ok(vars)
    }

    /// Stops the servers.
    ///
    /// # Errors
    /// When one does not stop.
    pub async fn stop(self) -> Result<(), Failed> {
        Ok(self.world.shutdown().await?)
    }

    /// What the servers and the machine are, for a heading.
    ///
    /// # Errors
    /// When the primary does not answer.
    pub async fn description(&self) -> Result<String, Failed> {
        let asked =
            ["server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers"];
        let mut words = Vec::new();
        for name in asked {
            let row =
                self.primary.session.query_one("SELECT current_setting($1)", &[&name]).await?;
            words.push(format!("{name} = {}", row.get::<_, &str>(0)));
        }
        let cores = available_parallelism().map_or(0, usize::from);
        let optimized =
            if cfg!(debug_assertions) { "\nNot optimized: use `cargo run --release`." } else { "" };
        let busy = procfs::LoadAverage::current()?.one;
        Ok(format!(
            "{}. With fsync off a commit waits for no disk.\nClient, programs and servers share {cores} cores, on which {busy:.1} \
             processes ran in the minute before (load average).{optimized}",
            words.join(", ")
        ))
    }
}

impl Watched {
    /// Watches this server.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn new(server: &Server) -> Result<Self, Failed> {
        let (session, connection) = tokio_postgres::connect(&server.admin_url(), NoTls).await?;
        tokio::spawn(connection);
        let backend: i32 = session.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
        let postmaster = Process::new(backend)?.stat()?.ppid;
        Ok(Self { session, postmaster })
    }

    /// How many connections applications have open.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn connections(&self) -> Result<i64, Failed> {
        self.count("true").await
    }

    /// How many of those are asked nothing at this moment.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn idle_connections(&self) -> Result<i64, Failed> {
        self.count("state = 'idle'").await
    }

    /// Where a primary's log ends, in bytes.
    ///
    /// # Errors
    /// When the server does not answer, or is no primary.
    pub async fn log_position(&self) -> Result<u64, Failed> {
        Ok(self
            .session
            .query_one("SELECT pg_current_wal_insert_lsn()", &[])
            .await?
            .get::<_, PgLsn>(0)
            .into())
    }

    /// Waits until the connections of applications that have ended are gone.
    ///
    /// # Errors
    /// When one stays, or the server does not answer.
    pub async fn left_alone(&self) -> Result<(), Failed> {
        let nobody = async {
            while self.connections().await? > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, nobody).await?
    }

    async fn count(&self, which: &str) -> Result<i64, Failed> {
        let others = "backend_type = 'client backend' AND usename <> current_user";
        let count = format!("SELECT count(*) FROM pg_stat_activity WHERE {others} AND {which}");
        Ok(self.session.query_one(&count, &[]).await?.get(0))
    }
}

/// Migrates the databases of a world, and makes so many users.
///
/// # Errors
/// When the primary refuses.
pub async fn fill(world: &World, users: u32) -> Result<(), Failed> {
    let url: DatabaseUrl = world.primary().url().parse()?;
    migrations::run(&url).await?;
    let owner = world.primary().client().await?;
    owner.execute(SEED, &[&i64::from(users)]).await?;
    Ok(owner.batch_execute("VACUUM (ANALYZE) users").await?)
}

/// The environment of an instance in `region`, without the databases: any free ports, and a key.
#[must_use]
pub fn own_vars(region: &str) -> [(String, String); 4] {
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
