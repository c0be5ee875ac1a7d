//! The databases of a developer's machine: a real primary and real replicas under `.lab/`, started and stopped with the program.

use std::collections::HashMap;
use std::env::VarError;
use std::path::PathBuf;

use archipelago::{DatabaseUrl, Role, override_variable};
use archipelago_lab::{LabError, World};
use diesel_async::RunQueryDsl;

use crate::repos::Repos;
use crate::schema::users;
use crate::settings::Vars;
use crate::users::NewUser;

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
        let codes = |role| Repos::REGIONS.iter().filter(move |info| info.role == role).map(|info| info.code);
        let mut builder = World::builder().replicas(codes(Role::Replica)).folder(folder());
        for primary in codes(Role::Primary) {
            builder = builder.primary(primary);
        }
        let world = builder.start().await?;
        let mut vars: HashMap<_, _> = world.servers().map(|server| (override_variable(server.region()), server.url())).collect();
        // Reading from a replica is what a newcomer sees first.
        if let Some(first) = codes(Role::Replica).next() {
            vars.insert("FLY_REGION".to_owned(), first.to_owned());
        }
        Ok(Self { world, vars })
    }

    /// The environment, completed by what it does not say.
    pub fn vars(&self, env: impl Vars) -> impl Vars {
        move |name: &str| match env(name) {
            Ok(value) if !value.is_empty() => Ok(value),
            _ => self.vars.get(name).cloned().ok_or(VarError::NotPresent),
        }
    }

    /// Whether the databases were made just now, and are empty.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.world.created()
    }

    /// Stops every server.
    ///
    /// # Errors
    /// When one does not stop.
    pub async fn stop(self) -> Result<(), LabError> {
        self.world.shutdown().await
    }
}

/// A few users to look at.
///
/// # Errors
/// When the database refuses.
pub async fn seed(url: &DatabaseUrl) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let people = [("Ada Lovelace", 36), ("Grace Hopper", 85), ("Michael Stonebraker", 82), ("Radia Perlman", 74)];
    let people: Vec<_> = people.map(|(name, age)| NewUser { name: name.to_owned(), age }).into();
    let mut connection = url.connect().await?;
    diesel::insert_into(users::table).values(&people).execute(&mut connection).await?;
    Ok(())
}

/// `.lab/` beside regions.toml, which is where `cargo run` says that the package is.
fn folder() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default().join(".lab")
}
