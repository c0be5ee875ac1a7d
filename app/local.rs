//! The databases of a developer's machine: a real primary and real replicas under `.lab/`, started and stopped with the program.

use std::collections::HashMap;
use std::env::VarError;
use std::path::PathBuf;
use std::time::Duration;

use archipelago::{DatabaseUrl, RepoSet, Role, override_variable};
use archipelago_lab::{LabError, World};
use diesel_async::RunQueryDsl;

use crate::repos::Repos;
use crate::settings::Vars;

/// Only where the first id has not been given yet: deleted users do not come back.
const SEED: &str = "
    INSERT INTO users (name, age)
    SELECT name, age FROM users_id_seq,
        (VALUES ('Ada Lovelace', 36), ('Grace Hopper', 85), ('Michael Stonebraker', 82), ('Radia Perlman', 74)) AS people (name, age)
    WHERE NOT is_called";

/// For a replica to show the migrations: far more than they take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The servers, and the variables that lead to them.
pub struct Local {
    world: World,
    vars: HashMap<String, String>,
}

impl Local {
    /// Whether nobody has said where the databases are.
    pub fn is_wanted(vars: &impl Vars) -> bool {
        let is_set = |name: &str| vars(name).is_ok_and(|value| !value.is_empty());
        let named = Repos::REGIONS.iter().any(|info| is_set(&override_variable(info.code)) || info.url_env.is_some_and(is_set));
        !is_set("DATABASE_URL") && !named && !crate::settings::is_on_fly(vars)
    }

    /// Starts a server for every region of regions.toml.
    ///
    /// # Errors
    /// When there is no `PostgreSQL`, or it does not start.
    pub async fn start() -> Result<Self, LabError> {
        let replicas = || Repos::REGIONS.iter().filter(|info| info.role == Role::Replica).map(|info| info.code);
        let world = World::builder().primary(Repos::PRIMARY.code).replicas(replicas()).folder(folder()).start().await?;
        let mut vars: HashMap<_, _> = world.servers().map(|server| (override_variable(server.region()), server.url())).collect();
        // Reading from a replica is what a newcomer sees first.
        if let Some(first) = replicas().next() {
            vars.insert("FLY_REGION".to_owned(), first.to_owned());
        }
        Ok(Self { world, vars })
    }

    /// The environment as it will be once the servers run, to see whether the rest of it is right.
    pub fn rehearsal(env: impl Vars) -> impl Vars {
        completed(env, HashMap::from([("DATABASE_URL".to_owned(), "postgres://localhost".to_owned())]))
    }

    /// The environment, completed by what it does not say: where the databases are.
    pub fn vars(&self, env: impl Vars) -> impl Vars {
        completed(env, self.vars.clone())
    }

    /// A few users to look at, where there never was one; then waits until every replica shows what the primary has.
    ///
    /// # Errors
    /// When a database refuses, or a replica does not catch up.
    pub async fn settle(&self, primary: &DatabaseUrl) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut connection = primary.connect().await?;
        diesel::sql_query(SEED).execute(&mut connection).await?;
        let position = self.world.primary().position().await?;
        for replica in self.world.replicas() {
            replica.wait_until_replayed(position, PATIENCE).await?;
        }
        Ok(())
    }

    /// Stops every server.
    ///
    /// # Errors
    /// When one does not stop.
    pub async fn stop(self) -> Result<(), LabError> {
        self.world.shutdown().await
    }
}

fn completed(env: impl Vars, more: HashMap<String, String>) -> impl Vars {
    move |name: &str| match env(name) {
        Err(VarError::NotPresent) => more.get(name).cloned().ok_or(VarError::NotPresent),
        Ok(value) if value.is_empty() => more.get(name).cloned().ok_or(VarError::NotPresent),
        said => said,
    }
}

/// `.lab/` beside regions.toml, which is where `cargo run` says that the package is.
fn folder() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default().join(".lab")
}
