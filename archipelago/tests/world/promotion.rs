//! Another server becomes the primary: writes find it without a restart, and the old one gets none of them.

use archipelago::{Error, Freshness, Position, RepoSet, Role, Settings, Timeouts};
use archipelago_lab::World;
use diesel::prelude::*;

use super::shared::{DEADLINE, HOUR, Repos, database, eventually, new_world, users};

async fn add(repos: &Repos, name: &str) -> Result<Position, archipelago::Error> {
    let user = diesel::insert_into(users::table).values((users::name.eq(name), users::age.eq(36)));
    Ok(repos.primary().execute(user).await?.position.unwrap())
}

/// Writes until somebody takes it.
async fn added(repos: &Repos, name: &str) -> Position {
    let mut position = None;
    eventually("a write is taken", async || {
        position = add(repos, name).await.ok();
        position.is_some()
    })
    .await;
    position.unwrap()
}

async fn names(repos: &Repos, position: Position) -> Vec<String> {
    repos
        .replica()
        .fresh(Freshness::AtLeast(position))
        .load(users::table.select(users::name).order(users::id))
        .await
        .unwrap()
}

async fn seen_from(world: &World, region: &str) -> (Settings, Repos) {
    let patient = Timeouts { checkout: DEADLINE, shutdown: DEADLINE, ..Timeouts::default() };
    let settings = database(world, "promotion")
        .await
        .in_region(region)
        .with_max_lag(HOUR)
        .with_timeouts(patient);
    let repos = Repos::connect(&settings).await.unwrap();
    (settings, repos)
}

#[tokio::test]
async fn writes_find_the_new_primary_without_a_restart() {
    let world = new_world().await;
    let (_, repos) = seen_from(&world, "near").await;
    let before = add(&repos, "Ada").await.unwrap();
    super::shared::catch_up(&world).await;

    world.primary().kill().await.unwrap();
    let refused = add(&repos, "nobody").await.unwrap_err();
    assert!(refused.is_passing(), "{refused}");
    assert_eq!(names(&repos, before).await, ["Ada"], "reads go on without a primary");

    world.promote("far").await.unwrap();
    let after = added(&repos, "Grace").await;
    assert_eq!((before.timeline(), after.timeline()), (1, 2));
    assert_eq!(before.partial_cmp(&after), None, "they are of two histories");
    assert_eq!(repos.leader().info().code, "far");
    assert_eq!(repos.primary().served_by().to_string(), "far; role=primary; reason=primary");
    assert_eq!(names(&repos, after).await, ["Ada", "Grace"]);
    eventually("what was seen before outlived the promotion", async || {
        names(&repos, before).await == ["Ada", "Grace"]
    })
    .await;
    eventually("the replica in between follows the new one", async || {
        let fresh = repos.replica().fresh(Freshness::AtLeast(after));
        fresh
            .load_served::<String>(users::table.select(users::name))
            .await
            .unwrap()
            .served_by
            .region
            == "near"
    })
    .await;
}

/// A split brain: both take writes.
#[tokio::test]
async fn the_old_primary_gets_no_write_and_serves_no_read_once_it_is_known_to_be_old() {
    let world = new_world().await;
    let (settings, repos) = seen_from(&world, "home").await;
    add(&repos, "Ada").await.unwrap();
    super::shared::catch_up(&world).await;
    world.promote("far").await.unwrap();

    // Somebody who has written to the new one comes along.
    let other = Repos::connect(&settings.clone().in_region("near")).await.unwrap();
    let mut position = None;
    eventually("the other one knows", async || {
        position = add(&other, "Grace").await.ok().filter(|position| position.timeline() == 2);
        position.is_some()
    })
    .await;
    eventually("this one finds out", async || {
        names(&repos, position.unwrap()).await.contains(&"Grace".to_owned())
    })
    .await;
    assert_eq!(added(&repos, "Edsger").await.timeline(), 2);
    let served = repos
        .replica()
        .load_served::<String>(users::table.select(users::name))
        .await
        .unwrap()
        .served_by;
    assert_ne!(served.region, "home", "its own database is of the past: {served}");

    let old =
        repos.only("home").unwrap().load::<String>(users::table.select(users::name)).await.unwrap();
    assert!(!old.contains(&"Edsger".to_owned()), "{old:?}");

    world.rejoin("home").await.unwrap();
    eventually("it serves as a replica", async || {
        let served = repos
            .replica()
            .load_served::<String>(users::table.select(users::name))
            .await
            .unwrap()
            .served_by;
        (served.region, served.role) == ("home", Role::Replica)
    })
    .await;
}

#[tokio::test]
async fn a_process_that_begins_after_the_promotion_finds_the_new_primary_at_once() {
    let world = new_world().await;
    let (settings, repos) = seen_from(&world, "home").await;
    repos.shutdown().await;
    super::shared::catch_up(&world).await;
    world.promote("far").await.unwrap();
    let repos = Repos::connect(&settings).await.unwrap();
    assert_eq!(added(&repos, "Ada").await.timeline(), 2, "the first write");
}

#[tokio::test]
async fn a_promoted_replica_goes_on_serving_reads_on_the_connections_that_it_has() {
    let world = new_world().await;
    let (_, repos) = seen_from(&world, "far").await;
    let read = async || {
        repos
            .replica()
            .load_served::<String>(users::table.select(users::name))
            .await
            .unwrap()
            .served_by
    };
    assert_eq!(read().await.role, Role::Replica);
    world.promote("far").await.unwrap();
    eventually("it says what it is now", async || {
        let by = read().await;
        (by.region, by.role) == ("far", Role::Primary)
    })
    .await;
    // What was read has shown that there is a new primary.
    eventually("a write goes there", async || {
        add(&repos, "Ada").await.is_ok_and(|position| position.timeline() == 2)
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_is_open_at_a_primary_which_is_replaced_meanwhile_is_rolled_back() {
    let world = new_world().await;
    let (_, repos) = seen_from(&world, "home").await;
    let outcome = repos.primary().transaction(async |connection| {
        let ada =
            diesel::insert_into(users::table).values((users::name.eq("Ada"), users::age.eq(36)));
        diesel_async::RunQueryDsl::execute(ada, connection).await?;
        world.promote("far").await.unwrap();
        eventually("the new one is known", async || repos.leader().info().code == "far").await;
        Ok::<_, Error>(())
    });
    let error = outcome.await.unwrap_err();
    assert!(matches!(error, Error::NotPrimary { region: "home" }), "{error}");
    assert!(!error.is_uncertain() && error.is_passing(), "nothing has happened");
}
