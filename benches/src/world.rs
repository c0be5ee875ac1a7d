//! The world of regions.toml: a server for each region at the distances of the Earth, and instances
//! of the app.

use std::time::Duration;

use archipelago::{RegionSet, Role, override_variable};
use archipelago_app::repos::Repos;
use archipelago_lab::{Distances, LabError, Server, World};

use crate::Failed;
use crate::child::Running;
use crate::contenders::{Contender, replica_region};
use crate::databases::{instance_vars, migrate_and_fill};

/// The place of the measured instance, which is the one of [`replica_region`].
///
/// It is as far from every region as its own region is, but has connections of its own, so that it
/// can be cut off from the replica of its own region.
pub const INSTANCE: &str = "instance";

/// The most time that a replica may take to replay what the primary has written.
const CATCH_UP_DEADLINE: Duration = Duration::from_mins(2);

/// Starts a server for each region, creates as many users, and waits until every replica has them.
///
/// # Errors
/// When PostgreSQL is not found or does not start.
pub async fn start(users: u32) -> Result<World, Failed> {
    let replicas =
        Repos::REGIONS.iter().filter(|info| info.role == Role::Replica).map(|info| info.code);
    let earth = Distances::of_the_world();
    let distances = Repos::REGIONS.iter().fold(earth.clone(), |distances, info| {
        let round_trip = earth.round_trip(replica_region(), info.code);
        distances.with_round_trip(INSTANCE, info.code, round_trip)
    });
    let world = World::builder()
        .primary(Repos::PRIMARY.code)
        .replicas(replicas)
        .distances(distances)
        .start()
        .await?;
    migrate_and_fill(&world, users).await?;
    let position = world.primary().position().await?;
    for replica in world.replicas() {
        replica.wait_until_replayed(position, CATCH_UP_DEADLINE).await?;
    }
    Ok(world)
}

/// Starts the instances of all other regions, which get no requests.
///
/// The one in the primary's region lets the primary commit something every second.
///
/// # Errors
/// When an instance does not start.
pub async fn start_other_instances(world: &World) -> Result<Vec<Running>, Failed> {
    let mut others = Vec::new();
    for region in world.servers().map(Server::region).filter(|region| *region != replica_region()) {
        let vars = vars(world, region, |server| server.url_from(region))?;
        others.push(Contender::Archipelago.start(&vars).await?);
    }
    Ok(others)
}

/// The environment of the instance of `region`, which reaches each server at the URL of `url`.
///
/// # Errors
/// The errors of `url`.
pub fn vars(
    world: &World,
    region: &str,
    url: impl Fn(&Server) -> Result<String, LabError>,
) -> Result<Vec<(String, String)>, Failed> {
    let mut vars = instance_vars(region).to_vec();
    // Faults fill the log; it is written only when RUST_LOG asks for it.
    if std::env::var_os("RUST_LOG").is_none() {
        vars.push(("RUST_LOG".to_owned(), "off".to_owned()));
    }
    for server in world.servers() {
        vars.push((override_variable(server.region()), url(server)?));
    }
    Ok(vars)
}
