//! A promotion: writes find the new primary without a restart, and the old one gets no write.

use archipelago::{Error, Freshness, Position, RepoSet, Role, Settings, Timeouts};
use archipelago_lab::{World, eventually};
use diesel::prelude::*;

use super::setup::{DEADLINE, HOUR, Repos, create_users, users};

async fn add(repos: &Repos, name: &str) -> Result<Position, archipelago::Error> {
    let user = diesel::insert_into(users::table).values((users::name.eq(name), users::age.eq(36)));
    Ok(repos.primary().execute(user).await?.position)
}

/// Tries to write until a primary takes it.
async fn added(repos: &Repos, name: &str) -> Position {
    eventually("a primary takes the write", DEADLINE, async || add(repos, name).await).await
}

/// What a read shows that must be at least as fresh as `position`.
async fn names(repos: &Repos, position: Position) -> Vec<String> {
    repos
        .replica()
        .fresh(Freshness::AtLeast(position))
        .load(users::table.select(users::name).order(users::id))
        .await
        .unwrap()
}

/// An instance in `region`, whose writes wait long for a primary.
async fn seen_from(world: &World, region: &str) -> (Settings, Repos) {
    let patient =
        Timeouts::default().with_checkout(DEADLINE).unwrap().with_shutdown(DEADLINE).unwrap();
    let settings =
        create_users(world).await.in_region(region).with_max_lag(HOUR).with_timeouts(patient);
    let repos = Repos::connect(&settings).await.unwrap();
    (settings, repos)
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn writes_find_the_new_primary_without_a_restart(world: World) {
    let (_, repos) = seen_from(&world, "near").await;
    let before = add(&repos, "Ada").await.unwrap();
    world.catch_up().await.unwrap();

    world.primary().kill().await.unwrap();
    let refused = add(&repos, "Mallory").await.unwrap_err();
    assert!(refused.is_passing(), "{refused}");
    assert_eq!(names(&repos, before).await, ["Ada"], "reads go on without a primary");

    world.promote("far").await.unwrap();
    let after = added(&repos, "Grace").await;
    assert_eq!((before.timeline(), after.timeline()), (1, 2));
    assert_eq!(before.partial_cmp(&after), None, "timelines have no order");
    assert_eq!(repos.leader().info().code, "far");
    assert_eq!(repos.primary().served_by().to_string(), "far; role=primary; reason=primary");
    assert_eq!(names(&repos, after).await, ["Ada", "Grace"]);
    eventually("reads show what was written before the promotion", DEADLINE, async || {
        names(&repos, before).await == ["Ada", "Grace"]
    })
    .await;
    eventually("the other replica follows the new primary", DEADLINE, async || {
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

/// A split brain: both servers take writes.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_superseded_primary_gets_no_write_and_serves_no_read(world: World) {
    let (settings, repos) = seen_from(&world, "home").await;
    add(&repos, "Ada").await.unwrap();
    world.catch_up().await.unwrap();
    world.promote("far").await.unwrap();

    // Another instance writes to the new primary, and its visitor brings the position here.
    let other = Repos::connect(&settings.clone().in_region("near")).await.unwrap();
    let position = eventually("the other instance finds the new primary", DEADLINE, async || {
        add(&other, "Grace").await.ok().filter(|position| position.timeline() == 2)
    })
    .await;
    eventually("this instance finds the new primary", DEADLINE, async || {
        names(&repos, position).await.contains(&"Grace".to_owned())
    })
    .await;
    assert_eq!(added(&repos, "Edsger").await.timeline(), 2);
    let served = repos
        .replica()
        .load_served::<String>(users::table.select(users::name))
        .await
        .unwrap()
        .served_by;
    assert_ne!(served.region, "home", "the superseded primary serves no read: {served}");

    let old =
        repos.only("home").unwrap().load::<String>(users::table.select(users::name)).await.unwrap();
    assert!(!old.contains(&"Edsger".to_owned()), "{old:?}");

    world.rejoin("home").await.unwrap();
    eventually("the old primary serves as a replica", DEADLINE, async || {
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

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn an_instance_started_after_a_promotion_writes_at_once(world: World) {
    let (settings, repos) = seen_from(&world, "home").await;
    repos.shutdown().await;
    world.catch_up().await.unwrap();
    world.promote("far").await.unwrap();
    let repos = Repos::connect(&settings).await.unwrap();
    assert_eq!(added(&repos, "Ada").await.timeline(), 2, "the first write");
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_promoted_replica_keeps_serving_on_open_connections(world: World) {
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
    eventually("the replica says that it is the primary", DEADLINE, async || {
        let by = read().await;
        (by.region, by.role) == ("far", Role::Primary)
    })
    .await;
    // The read has shown that there is a new primary.
    eventually("the new primary takes a write", DEADLINE, async || {
        add(&repos, "Ada").await.is_ok_and(|position| position.timeline() == 2)
    })
    .await;
}

/// A read that only the promoted server can serve waits for its election.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn no_read_fails_while_the_only_fresh_replica_is_promoted(world: World) {
    let (_, repos) = seen_from(&world, "far").await;
    world.server("near").unwrap().pause_replay().await.unwrap();
    let position = add(&repos, "Ada").await.unwrap();
    eventually("the replica has replayed it", DEADLINE, async || {
        let fresh = repos.replica().fresh(Freshness::AtLeast(position));
        let users = users::table.select(users::name);
        fresh.load_served::<String>(users).await.unwrap().served_by.region == "far"
    })
    .await;
    world.primary().kill().await.unwrap();

    let (promoted, ()) = tokio::join!(world.promote("far"), async {
        eventually("the new primary serves", DEADLINE, async || {
            assert_eq!(names(&repos, position).await, ["Ada"]);
            repos.leader().info().code == "far"
        })
        .await;
    });
    promoted.unwrap();
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_transaction_open_during_a_promotion_is_rolled_back(world: World) {
    let (_, repos) = seen_from(&world, "home").await;
    let outcome = repos.primary().transaction(async |connection| {
        let ada =
            diesel::insert_into(users::table).values((users::name.eq("Ada"), users::age.eq(36)));
        diesel_async::RunQueryDsl::execute(ada, connection).await?;
        world.promote("far").await.unwrap();
        eventually("the new primary is known", DEADLINE, async || {
            repos.leader().info().code == "far"
        })
        .await;
        Ok::<_, Error>(())
    });
    let error = outcome.await.unwrap_err();
    assert!(matches!(error, Error::NotPrimary { region: "home" }), "{error}");
    assert!(!error.is_uncertain() && error.is_passing(), "the transaction was rolled back");
}
