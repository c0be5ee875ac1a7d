//! The world of regions.toml, as far apart as on Earth, and in it instances of the app, one of them far from the primary.

use std::time::Duration;

use archipelago::{RegionSet, Role, override_variable};
use archipelago_app::repos::Repos;
use archipelago_lab::{Distances, LabError, Server, World};

use crate::Failed;
use crate::child::Running;
use crate::contenders::{Contender, replica_region};
use crate::databases::{fill, own_vars};

/// Where the instance of [`replica_region`] stands: as far from everywhere as its region is, by lines of its own, so that it can be cut off from the
/// replica beside it.
pub const INSTANCE: &str = "instance";

/// For the replicas to show what the primary has: far more than it takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// Starts a server for each region, makes so many users, and waits until every replica shows them.
///
/// # Errors
/// When there is no `PostgreSQL`, or it does not start.
pub async fn world(users: u32) -> Result<World, Failed> {
    let replicas =
        Repos::REGIONS.iter().filter(|info| info.role == Role::Replica).map(|info| info.code);
    let earth = Distances::of_the_world();
    let distances = Repos::REGIONS.iter().fold(earth.clone(), |distances, info| {
        distances.with_round_trip(
            INSTANCE,
            info.code,
            earth.round_trip(replica_region(), info.code),
        )
    });
    let world = World::builder()
        .primary(Repos::PRIMARY.code)
        .replicas(replicas)
        .distances(distances)
        .start()
        .await?;
    fill(&world, users).await?;
    let position = world.primary().position().await?;
    for replica in world.replicas() {
        replica.wait_until_replayed(position, PATIENCE).await?;
    }
    Ok(world)
}

/// Starts the instances of all other regions, which nobody asks: one near the primary gives it something to commit every second.
///
/// # Errors
/// When one does not start.
pub async fn others(world: &World) -> Result<Vec<Running>, Failed> {
    let mut others = Vec::new();
    for region in world.servers().map(Server::region).filter(|region| *region != replica_region()) {
        let vars = vars(world, region, |server| server.url_from(region))?;
        others.push(Running::start(&["serve", Contender::Archipelago.name()], &vars).await?);
    }
    Ok(others)
}

/// The environment of the instance of `region`, which reaches each server at what `url` gives.
///
/// # Errors
/// Those of `url`.
pub fn vars(
    world: &World,
    region: &str,
    url: impl Fn(&Server) -> Result<String, LabError>,
) -> Result<Vec<(String, String)>, Failed> {
    let mut vars = own_vars(region).to_vec();
    // What goes wrong on purpose fills no screen, unless somebody wants to see it.
    if std::env::var_os("RUST_LOG").is_none() {
        vars.push(("RUST_LOG".to_owned(), "off".to_owned()));
    }
    for server in world.servers() {
        vars.push((override_variable(server.region()), url(server)?));
    }
    Ok(vars)
}
