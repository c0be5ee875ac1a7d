//! A second primary on the leader's own timeline, and a superseded one alone: what a process does that
//! starts beside them.

use archipelago::{DownReason, Error, NoPrimary, Position, RepoSet, Settings, Timeouts};
use archipelago_lab::{World, eventually};
use diesel::prelude::*;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::setup::{DEADLINE, HOUR, Repos, admin, create_users, users};

async fn add(repos: &Repos, name: &str) -> Result<Position, Error> {
    let user = diesel::insert_into(users::table).values((users::name.eq(name), users::age.eq(36)));
    Ok(repos.primary().execute(user).await?.position)
}

async fn settings_near(world: &World) -> Settings {
    let patient = Timeouts::default().with_shutdown(DEADLINE).unwrap();
    create_users(world).await.in_region("near").with_max_lag(HOUR).with_timeouts(patient)
}

/// Writes until the promoted server has taken one on timeline 2.
async fn added_at(repos: &Repos, region: &str) {
    eventually("the promoted server takes the write", DEADLINE, async || {
        let position = add(repos, "Ada").await.map_err(|error| error.to_string())?;
        let leads = repos.leader().info().code == region && position.timeline() == 2;
        if leads { Ok(()) } else { Err(format!("{position:?}")) }
    })
    .await;
}

async fn until_second(repos: &Repos, region: &str) {
    eventually("the twin is found", DEADLINE, async || {
        let member = repos.members().find(|member| member.info().code == region).unwrap();
        let health = member.health();
        let is_second = matches!(health.down_reason, Some(DownReason::SecondPrimary { .. }));
        if is_second && health.role == Some(archipelago::Role::Primary) {
            Ok(())
        } else {
            Err(health)
        }
    })
    .await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_start_beside_a_twin_of_a_promoted_leader(world: World) {
    let settings = settings_near(&world).await;
    let before = Repos::connect(&settings).await.unwrap();
    add(&before, "Ada").await.unwrap();
    world.catch_up().await.unwrap();
    world.promote("near").await.unwrap();
    added_at(&before, "near").await;
    world.rejoin("home").await.unwrap();
    world.catch_up().await.unwrap();

    // Its restart alone puts it ahead of the leader.
    world.server("home").unwrap().start_writable().await.unwrap();
    admin(&world, "home").await.batch_execute("SELECT pg_switch_wal()").await.unwrap();
    until_second(&before, "home").await;
    let repos = Repos::connect(&settings).await.unwrap();
    added_at(&repos, "near").await;
    until_second(&repos, "home").await;

    // While the leader is away, no write goes to the twin.
    world.server("near").unwrap().kill().await.unwrap();
    for repos in [&before, &repos] {
        add(repos, "Mallory").await.unwrap_err();
    }
    let written = users::table.filter(users::name.eq("Mallory")).count();
    let written: i64 = written.get_result(&mut admin(&world, "home").await).await.unwrap();
    assert_eq!(written, 0);
    world.server("near").unwrap().start().await.unwrap();
    added_at(&before, "near").await;
    added_at(&repos, "near").await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_start_beside_a_superseded_primary_alone(world: World) {
    let settings = settings_near(&world).await;
    let before = Repos::connect(&settings).await.unwrap();
    add(&before, "Ada").await.unwrap();
    world.catch_up().await.unwrap();
    world.server("home").unwrap().kill().await.unwrap();
    world.promote("near").await.unwrap();
    added_at(&before, "near").await;
    admin(&world, "near").await.batch_execute("SELECT pg_switch_wal()").await.unwrap();
    added_at(&before, "near").await;
    world.catch_up().await.unwrap();
    world.server("near").unwrap().kill().await.unwrap();
    world.server("home").unwrap().start().await.unwrap();

    let repos = Repos::connect(&settings).await.unwrap();
    let refused = add(&repos, "Mallory").await.unwrap_err();
    let is_left = |reason: &NoPrimary| {
        matches!(reason, NoPrimary::LeftBehind { .. } | NoPrimary::Superseded { .. })
    };
    assert!(matches!(&refused, Error::NoPrimary { reason } if is_left(reason)), "{refused}");
    world.server("near").unwrap().start().await.unwrap();
    added_at(&repos, "near").await;
}
