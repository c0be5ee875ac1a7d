//! The databases of a developer's machine: a real primary and real replicas under `.lab/`, started and stopped with the program.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use archipelago::{RegionSet, Role, override_variable};
use archipelago_lab::{Distances, LabError, Remote, RemoteError, World};
use diesel_async::RunQueryDsl;

use crate::migrations;
use crate::repos::Repos;
use crate::settings::Vars;

/// Variables by their names.
pub type Own = HashMap<String, String>;

/// Only where the first id has not been given yet: deleted users do not come back.
const SEED: &str = "
    INSERT INTO users (name, age)
    SELECT name, age FROM users_id_seq,
        (VALUES ('Ada Lovelace', 36), ('Grace Hopper', 85), ('Michael Stonebraker', 82), ('Radia Perlman', 74)) AS people (name, age)
    WHERE NOT is_called";

/// For a replica to show the migrations: far more than they take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The servers.
pub struct Local {
    world: World,
}

impl Local {
    /// Whether nobody has said where the databases are.
    pub fn is_wanted(vars: &impl Vars) -> bool {
        let is_set = |name: &str| vars(name).is_ok_and(|value| !value.is_empty());
        let named = Repos::REGIONS
            .iter()
            .any(|info| is_set(&override_variable(info.code)) || info.url_env.is_some_and(is_set));
        !is_set("DATABASE_URL") && !named && !crate::settings::is_on_fly(vars)
    }

    /// The region that a single instance plays where nobody says: reading from a replica is what a newcomer sees first.
    #[must_use]
    pub fn usual_region() -> &'static str {
        Repos::REGIONS.iter().find(|info| info.role == Role::Replica).unwrap_or(Repos::PRIMARY).code
    }

    /// Starts a server for every region of regions.toml, so far apart.
    ///
    /// # Errors
    /// When there is no `PostgreSQL`, or it does not start.
    pub async fn start(distances: Distances) -> Result<Self, LabError> {
        let replicas =
            Repos::REGIONS.iter().filter(|info| info.role == Role::Replica).map(|info| info.code);
        let world =
            World::builder().primary(Repos::PRIMARY.code).replicas(replicas).distances(distances);
        Ok(Self { world: world.folder(folder()).start().await? })
    }

    /// Runs the migrations, whose names it returns, and makes a few users to look at where there never was one. Returns when
    /// every replica shows what the primary has.
    ///
    /// # Errors
    /// When a database refuses, or a replica does not catch up.
    pub async fn prepare(&self) -> Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>> {
        let primary = self.world.primary().url().parse()?;
        let ran = migrations::run(&primary).await?;
        diesel::sql_query(SEED).execute(&mut archipelago::connect(&primary).await?).await?;
        let position = self.world.primary().position().await?;
        for replica in self.world.replicas() {
            replica.wait_until_replayed(position, PATIENCE).await?;
        }
        Ok(ran)
    }

    /// The servers themselves.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The variables of an instance in `region`: its name, and the databases as they are seen from there.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn seen_from(&self, region: &str) -> Result<Own, LabError> {
        let urls = self
            .world
            .servers()
            .map(|server| Ok((override_variable(server.region()), server.url_from(region)?)));
        urls.chain([Ok(own_region(region))]).collect()
    }

    /// The variables of an instance in `region`, for the servers that another process runs under `.lab/`, if one does.
    ///
    /// # Errors
    /// When it does not answer, or its regions are not those of this program.
    pub async fn of_another_process(
        region: &str,
    ) -> Result<Option<Own>, Box<dyn std::error::Error + Send + Sync>> {
        let lab = match Remote::find(folder()) {
            Err(RemoteError::NoLab { .. }) => return Ok(None),
            found => found?,
        };
        let servers = lab.urls(Some(region)).await?;
        if let Some(info) = Repos::REGIONS
            .iter()
            .find(|info| servers.iter().all(|server| server.region != info.code))
        {
            let folder = folder();
            let folder = folder.display();
            return Err(format!(
                "the lab that runs in {folder} has no {}: it was started before regions.toml changed; start it again",
                info.code
            )
            .into());
        }
        let urls =
            servers.into_iter().map(|server| (override_variable(&server.region), server.url));
        Ok(Some(urls.chain([own_region(region)]).collect()))
    }

    /// Stops every server.
    ///
    /// # Errors
    /// When one does not stop.
    pub async fn stop(self) -> Result<(), LabError> {
        self.world.shutdown().await
    }
}

/// The environment as it will be once the servers run, to see whether the rest of it is right.
pub fn rehearsal(env: impl Vars) -> impl Vars {
    with(Own::from([("DATABASE_URL".to_owned(), "postgres://localhost".to_owned())]), env)
}

/// These variables, and all others as the environment has them.
pub fn with(own: Own, env: impl Vars) -> impl Vars {
    move |name: &str| own.get(name).cloned().map_or_else(|| env(name), Ok)
}

fn own_region(region: &str) -> (String, String) {
    ("FLY_REGION".to_owned(), region.to_owned())
}

/// `.lab/` beside regions.toml, which is where `cargo run` says that the package is.
pub fn folder() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default().join(".lab")
}

/// How far apart the places are that regions.toml knows: the file that this program was built from.
///
/// # Errors
/// None in a program that was built, as the build checks the file.
pub fn distances() -> Result<Distances, Box<dyn std::error::Error + Send + Sync>> {
    let regions = archipelago_regions::check("regions.toml", include_str!("../regions.toml"), None);
    let regions = regions.map_err(|mistakes| {
        mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    })?;
    Ok(Distances::among(regions.places))
}
