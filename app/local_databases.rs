//! The databases of a developer's machine: a real primary and real replicas under `.lab/`, started
//! and stopped with the program.

use std::path::PathBuf;
use std::time::Duration;

use archipelago::{RegionSet, Role, SettingsError, override_variable};
use archipelago_lab::{Distances, LabError, Remote, RemoteError, World};
use diesel_async::RunQueryDsl;

use crate::console::CommandError;
use crate::environment::{EnvOverrides, Vars, is_on_fly, is_set, overlay};
use crate::migrations;
use crate::repos::Repos;
use crate::settings::Settings;

/// A few users to look at. Inserted only while the table has never had a user, so that deleted ones
/// do not come back.
const SEED: &str = "
    INSERT INTO users (name, age)
    SELECT name, age FROM users_id_seq,
        (VALUES ('Ada Lovelace', 36), ('Grace Hopper', 85), ('Michael Stonebraker', 82), ('Radia Perlman', 74)) AS people (name, age)
    WHERE NOT is_called";

/// How long a replica may take to replay the migrations: far more than it needs.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(30);

/// One PostgreSQL server for each region, running until [`shutdown`](Self::shutdown).
pub(crate) struct LocalDatabases {
    world: World,
}

impl LocalDatabases {
    /// Whether to start them: this is a developer's machine, and no variable names a database.
    pub(crate) fn are_wanted(vars: &impl Vars) -> bool {
        let is_named = Repos::REGIONS.iter().any(|info| {
            is_set(vars, &override_variable(info.code))
                || info.url_env.is_some_and(|name| is_set(vars, name))
        });
        !is_set(vars, "DATABASE_URL") && !is_named && !is_on_fly(vars)
    }

    /// The region of a single instance if `FLY_REGION` is not set: one with a replica, so that a
    /// newcomer sees a read from a replica first.
    pub(crate) fn default_region() -> &'static str {
        Repos::REGIONS.iter().find(|info| info.role == Role::Replica).unwrap_or(Repos::PRIMARY).code
    }

    /// Starts a server for each region of regions.toml. Fails if PostgreSQL cannot be found or
    /// started.
    pub(crate) async fn start(distances: Distances) -> Result<Self, LabError> {
        let replicas =
            Repos::REGIONS.iter().filter(|info| info.role == Role::Replica).map(|info| info.code);
        let distances = with_further_servers(distances);
        let world =
            World::builder().primary(Repos::PRIMARY.code).replicas(replicas).distances(distances);
        Ok(Self { world: world.folder(lab_dir()).start().await? })
    }

    /// Runs the pending migrations, whose names it returns, inserts the first users, and waits
    /// until every replica has replayed all of it.
    pub(crate) async fn prepare(&self) -> Result<Vec<String>, CommandError> {
        let primary = self.world.primary().url().parse()?;
        let ran = migrations::run(&primary).await?;
        diesel::sql_query(SEED).execute(&mut archipelago::connect(&primary).await?).await?;
        let position = self.world.primary().position().await?;
        for replica in self.world.replicas() {
            replica.wait_until_replayed(position, REPLAY_TIMEOUT).await?;
        }
        Ok(ran)
    }

    /// The servers themselves.
    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// The variables of an instance in `region`: `FLY_REGION`, and a URL for each database. The URL
    /// leads through a proxy that adds the distance from `region`. Fails if there is no free port
    /// for one.
    pub(crate) fn env_seen_from(&self, region: &str) -> Result<EnvOverrides, LabError> {
        let urls = self
            .world
            .servers()
            .map(|server| Ok((override_variable(server.region()), server.url_from(region)?)));
        urls.chain([Ok(fly_region(region))]).collect()
    }

    /// The same variables for the servers that another process runs under `.lab/`; none if there is
    /// no such process. Fails if it does not answer, or was started with other regions.
    pub(crate) async fn env_of_running_lab(
        region: &str,
    ) -> Result<Option<EnvOverrides>, CommandError> {
        let lab = match Remote::find(lab_dir()) {
            Err(RemoteError::NoLab { .. }) => return Ok(None),
            found => found?,
        };
        let servers = lab.urls(Some(region)).await?;
        let is_missing = |code: &str| servers.iter().all(|server| server.region != code);
        if let Some(info) = Repos::REGIONS.iter().find(|info| is_missing(info.code)) {
            let message = format!(
                "the lab that runs in {} has no {}: it was started before regions.toml changed; start it again",
                lab_dir().display(),
                info.code
            );
            return Err(message.into());
        }
        let urls =
            servers.into_iter().map(|server| (override_variable(&server.region), server.url));
        Ok(Some(urls.chain([fly_region(region)]).collect()))
    }

    /// Stops every server.
    pub(crate) async fn shutdown(self) -> Result<(), LabError> {
        self.world.shutdown().await
    }
}

/// Checks the settings before any server is started, so that a wrong one costs no time and leaves
/// nothing behind. The URLs of the databases are placeholders.
pub(crate) fn validate_before_start(vars: impl Vars) -> Result<Settings, SettingsError> {
    Settings::from_vars(&with_placeholder_url(vars))
}

/// The environment with a placeholder for the `DATABASE_URL` that it lacks until the servers run.
pub(crate) fn with_placeholder_url(env: impl Vars) -> impl Vars {
    let url = ("DATABASE_URL".to_owned(), "postgres://localhost".to_owned());
    overlay(EnvOverrides::from([url]), env)
}

fn fly_region(region: &str) -> (String, String) {
    ("FLY_REGION".to_owned(), region.to_owned())
}

/// `.lab/` beside regions.toml: Cargo tells `cargo run` where that is. Else `.lab/` in the current
/// folder.
pub(crate) fn lab_dir() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default().join(".lab")
}

/// The distances between all places known to the regions.toml that this program was built from.
/// Fails never in practice, as the build has checked that file.
pub fn distances() -> Result<Distances, CommandError> {
    let regions = archipelago_regions::check("regions.toml", include_str!("../regions.toml"), None);
    let regions = regions.map_err(|mistakes| {
        mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    })?;
    Ok(Distances::among(regions.places))
}

/// The same distances, and those of each further server of a region, which is where the first is.
fn with_further_servers(distances: Distances) -> Distances {
    let further = Repos::REGIONS.iter().filter(|info| info.code != info.region);
    let to_places = further.flat_map(|info| Repos::PLACES.iter().map(move |place| (info, place)));
    to_places.fold(distances, |distances, (info, place)| {
        let round_trip = distances.round_trip(info.region, place);
        distances.with_round_trip(info.code, place, round_trip)
    })
}

#[cfg(test)]
mod tests {
    use std::env::VarError;

    use super::*;

    #[test]
    fn servers_start_only_where_no_database_is_named() {
        let region_url = override_variable(Repos::PRIMARY.code);
        for (vars, expected) in [
            (vec![], true),
            (vec![("DATABASE_URL", "")], true),
            (vec![("FLY_APP_NAME", "")], true),
            (vec![("FLY_REGION", "ord"), ("PORT", "80")], true),
            (vec![("DATABASE_URL", "postgres://localhost")], false),
            (vec![(region_url.as_str(), "postgres://localhost")], false),
            (vec![("FLY_APP_NAME", "users")], false),
        ] {
            let env = |name: &str| {
                let found = vars.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
            };
            assert_eq!(LocalDatabases::are_wanted(&env), expected, "{vars:?}");
        }
    }

    #[test]
    fn only_the_url_of_the_database_is_made_up_for_the_check() {
        let empty = |_: &str| Err(VarError::NotPresent);
        let checked = validate_before_start(empty).expect("the defaults are valid");
        assert!(checked.is_development);
        let wrong = |name: &str| if name == "PORT" { Ok("eighty".to_owned()) } else { empty(name) };
        let error = validate_before_start(wrong).expect_err("PORT is no number").to_string();
        assert!(error.contains("PORT is `eighty`") && !error.contains("DATABASE_URL"), "{error}");
    }
}
