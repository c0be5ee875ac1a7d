//! Servers that take writes without being the primary, databases that are replaced, and clocks that
//! are wrong: only the leader answers as a primary, and each other member says what is the matter.

use archipelago::{DownReason, Error, Freshness, NoPrimary, Position, RepoSet, Settings, Timeouts};
use archipelago_lab::{World, eventually};
use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;

use super::relay::Relay;
use super::rights::emit_message;
use super::setup::{DEADLINE, HOUR, Repos, admin, create_users, users};

/// The same regions, with writes pinned to the primary of the declaration.
mod pinned {
    archipelago::repos! {
        primary home; replica near; replica far;
        follow_promotions false;
    }
}

async fn add(repos: &Repos, name: &str) -> Result<Position, Error> {
    let user = diesel::insert_into(users::table).values((users::name.eq(name), users::age.eq(36)));
    Ok(repos.primary().execute(user).await?.position)
}

/// The names that a region's own server shows.
async fn names_at(repos: &Repos, region: &str) -> Vec<String> {
    let names = users::table.select(users::name).order(users::name);
    repos.only(region).unwrap().load(names).await.unwrap()
}

/// Which region serves a read near this instance.
async fn read_by(repos: &Repos) -> Result<&'static str, Error> {
    let names = users::table.select(users::name);
    Ok(repos.replica().load_served::<String>(names).await?.served_by.region)
}

fn down_reason(repos: &Repos, region: &str) -> Option<DownReason> {
    let member = repos.members().find(|member| member.info().code == region).unwrap();
    member.health().down_reason
}

async fn until_down(repos: &Repos, region: &str, wanted: impl Fn(&DownReason) -> bool) {
    eventually("the member is unfit", DEADLINE, async || {
        let reason = down_reason(repos, region);
        if reason.as_ref().is_some_and(&wanted) { Ok(()) } else { Err(reason) }
    })
    .await;
}

async fn settings_near(world: &World) -> Settings {
    let patient = Timeouts::default().with_shutdown(DEADLINE).unwrap();
    create_users(world).await.in_region("near").with_max_lag(HOUR).with_timeouts(patient)
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_second_primary_and_a_copy_serve_nothing(world: World) {
    let settings = settings_near(&world).await;
    let repos = Repos::connect(&settings).await.unwrap();
    add(&repos, "Ada").await.unwrap();
    world.catch_up().await.unwrap();

    world.server("near").unwrap().start_writable().await.unwrap();
    until_down(&repos, "near", |it| matches!(it, DownReason::SecondPrimary { .. })).await;
    let conflicts = |region| {
        let mut members = repos.members();
        members.find(|member| member.info().code == region).unwrap().health().conflicts
    };
    assert_eq!((conflicts("home"), conflicts("far")), (0, 0));
    assert!(conflicts("near") > 0);
    add(&repos, "Grace").await.unwrap();
    world.catch_up().await.unwrap();
    assert_ne!(read_by(&repos).await.unwrap(), "near");

    // A copy in the place of the other replica, on a newer timeline that no replica follows.
    world.replace_by_clone("far").await.unwrap();
    until_down(&repos, "far", |it| matches!(it, DownReason::NotFollowed { .. })).await;
    add(&repos, "Edsger").await.unwrap();
    assert_eq!(read_by(&repos).await.unwrap(), "home");
    assert_eq!(names_at(&repos, "home").await, ["Ada", "Edsger", "Grace"]);

    // While the primary is restarted, none of them takes its place.
    world.primary().stop().await.unwrap();
    let refused = add(&repos, "Mallory").await.unwrap_err();
    assert!(refused.is_passing() && !refused.is_uncertain(), "{refused}");
    world.primary().start().await.unwrap();
    eventually("the primary takes writes again", DEADLINE, async || {
        add(&repos, "Barbara").await.is_ok()
    })
    .await;
    for region in ["near", "far"] {
        assert!(!names_at(&repos, region).await.contains(&"Barbara".to_owned()), "{region}");
    }
    repos.shutdown().await;

    // A process that starts then finds the second primary only, and does not believe it.
    world.primary().stop().await.unwrap();
    world.server("far").unwrap().stop().await.unwrap();
    let repos = Repos::connect(&settings).await.unwrap();
    eventually("writes stop, with the reason", DEADLINE, async || {
        let unproven = NoPrimary::Unproven { region: "near", timeline: 1 };
        match add(&repos, "Mallory").await.unwrap_err() {
            Error::NoPrimary { reason } if reason == unproven => Ok(()),
            error => Err(error),
        }
    })
    .await;
    world.primary().start().await.unwrap();
    eventually("the primary is found when it is back", DEADLINE, async || {
        add(&repos, "Donald").await.is_ok()
    })
    .await;
    assert!(names_at(&repos, "home").await.contains(&"Donald".to_owned()));
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn promotions_are_noticed_and_contested(world: World) {
    let settings = settings_near(&world).await;
    let repos = Repos::connect(&settings).await.unwrap();
    let pinned = pinned::Repos::connect(&settings).await.unwrap();
    world.catch_up().await.unwrap();

    // This instance asks neither of the two; the old primary runs on.
    world.promote("far").await.unwrap();
    eventually("the promotion is noticed without a question", DEADLINE, async || {
        repos.leader().info().code == "far"
    })
    .await;
    until_down(&repos, "home", |it| matches!(it, DownReason::Superseded { .. })).await;
    assert_eq!(add(&repos, "Ada").await.unwrap().timeline(), 2);
    let delete = diesel::delete(users::table);
    pinned.primary().execute(delete).await.expect("the declared primary takes it");
    assert_eq!(names_at(&repos, "far").await, ["Ada"]);

    // Another server is promoted to a timeline of the same number.
    world.server("near").unwrap().kill().await.unwrap();
    world.server("home").unwrap().kill().await.unwrap();
    world.replace_by_clone("near").await.unwrap();
    let near = world.server("near").unwrap().timeline().await.unwrap();
    add(&repos, "Grace").await.expect("the known leader stays");
    assert_eq!(repos.leader().info().code, "far", "near is on timeline {near}");
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_primary_put_back_and_a_database_replaced(world: World) {
    let settings = settings_near(&world).await;
    let repos = Repos::connect(&settings).await.unwrap();
    add(&repos, "Ada").await.unwrap();
    let backup = world.backup().await.unwrap();
    add(&repos, "Grace").await.unwrap();
    // More than the primary writes while it recovers.
    admin(&world, "home").await.batch_execute("SELECT pg_switch_wal()").await.unwrap();
    let lost = add(&repos, "Barbara").await.unwrap();
    world.catch_up().await.unwrap();

    world.put_back_to(backup).await.unwrap();
    until_down(&repos, "near", |it| matches!(it, DownReason::AheadOfPrimary { .. })).await;
    eventually("reads show the primary's history", DEADLINE, async || {
        read_by(&repos).await.is_ok_and(|region| region == "home")
    })
    .await;
    assert_eq!(names_at(&repos, "home").await, ["Ada"]);

    // New servers behind the same URLs.
    world.start_anew().await.unwrap();
    for replica in world.replicas() {
        replica.start().await.unwrap();
    }
    create_users(&world).await;
    let position =
        eventually("the new database takes writes", DEADLINE, async || add(&repos, "Edsger").await)
            .await;
    assert_eq!(position.partial_cmp(&lost), None, "it is another database");
    eventually("its replica serves, also a visitor of the old one", DEADLINE, async || {
        let fresh =
            repos.replica().fresh(Freshness::AtLeast(position)).fresh(Freshness::AtLeast(lost));
        let names = users::table.select(users::name);
        let read = fresh.load_served::<String>(names).await;
        read.is_ok_and(|read| read.served_by.region == "near" && read.value == ["Edsger"])
    })
    .await;
}

/// The functions are revoked in the database of this test only.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_role_without_rights_reads_and_writes(world: World) {
    let settings = settings_near(&world).await;
    let mut admin = admin(&world, "home").await;
    let revoke = |function: &str| format!("REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC");
    for function in [
        emit_message(&world),
        "pg_control_system()",
        "pg_control_checkpoint()",
        "pg_control_recovery()",
        "pg_stat_get_wal_receiver()",
        "pg_current_wal_flush_lsn()",
    ] {
        let running = Repos::connect(&settings).await.unwrap();
        read_by(&running).await.unwrap();
        admin.batch_execute(&revoke(function)).await.unwrap();
        world.catch_up().await.unwrap();
        for _ in 0..10 {
            read_by(&running).await.expect("a right that is lost meanwhile fails no read");
        }
        running.shutdown().await;
        let repos = Repos::connect(&settings).await.unwrap();
        let written =
            diesel::insert_into(users::table).values((users::name.eq(function), users::age.eq(1)));
        repos.primary().execute(written).await.unwrap();
        eventually("every member is up", DEADLINE, async || {
            let down = repos.members().find(|member| member.health().up != Some(true));
            down.map_or(Ok(()), |member| Err(format!("{:?}", member.health())))
        })
        .await;
        assert_eq!(read_by(&repos).await.unwrap(), "near", "without {function}");
        repos.shutdown().await;
    }
}

/// One right after the other is lost while connections are opened.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_right_that_is_lost_between_two_questions_fails_no_read(world: World) {
    const FUNCTIONS: [&str; 4] = [
        "pg_control_system()",
        "pg_control_checkpoint()",
        "pg_control_recovery()",
        "pg_stat_get_wal_receiver()",
    ];

    let settings = settings_near(&world).await;
    let mut admin = admin(&world, "home").await;
    let grant =
        FUNCTIONS.map(|function| format!("GRANT EXECUTE ON FUNCTION {function} TO PUBLIC;"));
    for _ in 0..40 {
        let lose = async {
            for function in FUNCTIONS {
                let revoke = format!("REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC");
                admin.batch_execute(&revoke).await.unwrap();
            }
        };
        let (repos, ()) = tokio::join!(Repos::connect(&settings), lose);
        let repos = repos.unwrap();
        read_by(&repos).await.expect("no right is needed to read");
        for member in repos.members() {
            assert_ne!(member.health().up, Some(false), "{:?}", member.health().down_reason);
        }
        repos.shutdown().await;
        admin.batch_execute(&grant.concat()).await.unwrap();
    }
}

/// A commit that removes files is visible at a replica before its position passes the commit.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_position_bounds_what_a_replica_has_shown(world: World) {
    const TABLES: usize = 400;

    let settings = settings_near(&world).await;
    let repos = Repos::connect(&settings).await.unwrap();
    let mut writer = admin(&world, "home").await;
    let create = |index| format!("CREATE TABLE t{index} AS SELECT 1 AS a");
    let drop = |index| format!("DROP TABLE t{index}");
    let all = |sql: &dyn Fn(usize) -> String| (0..TABLES).map(sql).collect::<Vec<_>>().join("; ");
    writer.batch_execute(&all(&create)).await.unwrap();
    world.catch_up().await.unwrap();

    let insert = "INSERT INTO users (name, age) VALUES ('Ada', 36)";
    writer.batch_execute(&format!("BEGIN; {insert}; {}", all(&drop))).await.unwrap();
    world.catch_up().await.unwrap();
    world.server("far").unwrap().pause_replay().await.unwrap();
    let first_shown = async {
        loop {
            let count = repos.only("near").unwrap().load_served::<i64>(users::table.count());
            let read = count.await.unwrap();
            if read.value == [1] {
                return read.position;
            }
        }
    };
    let (committed, shown) = tokio::join!(writer.batch_execute("COMMIT"), first_shown);
    committed.unwrap();

    let far = repos.replica_in("far").fresh(Freshness::AtLeast(shown));
    let read = far.load_served::<i64>(users::table.count()).await.unwrap();
    assert_eq!(read.value, [1], "a read by {} goes back in time", read.served_by);
    world.server("far").unwrap().resume_replay().await.unwrap();
}

/// An asynchronous commit is visible at the primary before it is flushed.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_position_bounds_what_the_primary_has_shown(world: World) {
    let repos = Repos::connect(&settings_near(&world).await).await.unwrap();
    let mut writer = admin(&world, "home").await;
    writer.batch_execute("SET synchronous_commit = off").await.unwrap();
    for count in 1..=20 {
        writer.batch_execute("INSERT INTO users (name, age) VALUES ('Ada', 36)").await.unwrap();
        let read = repos.primary().reads().load_served::<i64>(users::table.count()).await.unwrap();
        assert_eq!(read.value, [count]);
        let near = repos.replica().fresh(Freshness::AtLeast(read.position));
        assert_eq!(near.get_result::<i64>(users::table.count()).await.unwrap(), count);
    }
}

/// An answer that waits behind a slow query is older than when it was asked.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn an_answer_that_became_too_old_is_not_shown(world: World) {
    diesel::define_sql_function! { fn pg_sleep(seconds: diesel::sql_types::Double) -> Text; }

    let limit = std::time::Duration::from_secs(2);
    let settings = settings_near(&world).await.with_max_lag(limit).with_pool_size(1);
    let repos = Repos::connect(&settings).await.unwrap();
    eventually("the replica serves", DEADLINE, async || {
        read_by(&repos).await.is_ok_and(|region| region == "near")
    })
    .await;
    world.server("near").unwrap().pause_replay().await.unwrap();
    add(&repos, "Ada").await.unwrap();
    let slow = repos.only("near").unwrap().get_result::<String>(diesel::select(pg_sleep(3.0)));
    let names = repos.replica().load_served::<String>(users::table.select(users::name));
    let (slow, read) = tokio::join!(slow, names);
    slow.unwrap();
    assert_ne!(read.unwrap().served_by.region, "near", "what it lacks is 3 s old by now");
    world.server("near").unwrap().resume_replay().await.unwrap();
}

/// No member takes writes yet, and one is silent: the process starts all the same, and a visitor's
/// position on a timeline that it cannot know yet is kept.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_start_without_a_primary_keeps_positions(world: World) {
    let patient =
        Timeouts::default().with_checkout(DEADLINE).unwrap().with_shutdown(DEADLINE).unwrap();
    let settings = settings_near(&world).await.with_timeouts(patient);
    let before = Repos::connect(&settings).await.unwrap();
    add(&before, "Ada").await.unwrap();
    world.catch_up().await.unwrap();
    world.promote("far").await.unwrap();
    let position = eventually("the new primary takes the write", DEADLINE, async || {
        add(&before, "Grace").await.ok().filter(|position| position.timeline() == 2)
    })
    .await;
    before.shutdown().await;
    world.server("home").unwrap().freeze().await.unwrap();
    world.server("far").unwrap().kill().await.unwrap();

    // Of three members one replica answers, and one accepts connections and says nothing.
    let repos = Repos::connect(&settings).await.unwrap();
    let shows = async || {
        let fresh = repos.replica().fresh(Freshness::AtLeast(position));
        let names: Vec<String> = fresh.load(users::table.select(users::name)).await?;
        Ok::<_, Error>(names.len())
    };
    assert!(read_by(&repos).await.is_ok(), "one silent member holds up no read");
    assert!(matches!(shows().await, Ok(2) | Err(_)), "a position is never ignored");
    world.server("far").unwrap().start().await.unwrap();
    eventually("the visitor's own write is shown", DEADLINE, async || {
        let names = shows().await;
        assert!(matches!(names, Ok(2) | Err(_)), "{names:?}");
        names.is_ok()
    })
    .await;
    world.server("home").unwrap().thaw().await.unwrap();
}

/// Its clock is an hour behind, so that by it no commit is older than `max_lag`.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_replica_whose_clock_is_behind_serves_nothing_old(world: World) {
    use archipelago_lab::LabError;

    let near = world.server("near").unwrap();
    match near.set_clock(-3600).await {
        Err(LabError::NoFakeClock) => return eprintln!("skipped: libfaketime is not installed"),
        outcome => outcome.unwrap(),
    }
    let settings = settings_near(&world).await.with_max_lag(std::time::Duration::from_secs(3));
    let leaves = async |repos: &Repos| {
        add(repos, "Ada").await.unwrap();
        eventually("a replica that stands still serves no read", DEADLINE, async || {
            read_by(repos).await.is_ok_and(|by| by != "near")
        })
        .await;
    };

    let repos = Repos::connect(&settings).await.unwrap();
    eventually("the replica serves", DEADLINE, async || {
        read_by(&repos).await.is_ok_and(|by| by == "near")
    })
    .await;
    near.pause_replay().await.unwrap();
    leaves(&repos).await;

    // A process that has never seen the replica in step.
    let repos = Repos::connect(&settings).await.unwrap();
    leaves(&repos).await;
    near.resume_replay().await.unwrap();
}

/// A server that refuses connections still leads: no election asks the others, and each write makes
/// one attempt.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_primary_that_is_full_starts_no_elections(world: World) {
    const WRITES: usize = 20;

    let mut settings = settings_near(&world).await;
    let mut relays = Vec::new();
    for region in ["home", "near", "far"] {
        let (relay, url) = Relay::start(settings.url(region).unwrap().expose()).await;
        settings = settings.with_url(region, &url).unwrap();
        relays.push(relay);
    }
    let repos = Repos::connect(&settings).await.unwrap();
    add(&repos, "Ada").await.unwrap();
    let mut admin = admin(&world, "home").await;
    admin.batch_execute("ALTER ROLE app CONNECTION LIMIT 0").await.unwrap();
    admin
        .batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'",
        )
        .await
        .unwrap();
    eventually("the primary refuses connections", DEADLINE, async || {
        matches!(down_reason(&repos, "home"), Some(DownReason::Refused { .. }))
    })
    .await;

    let accepted = || relays.iter().map(Relay::accepted).collect::<Vec<_>>();
    let before = accepted();
    for _ in 0..WRITES {
        let error = add(&repos, "Mallory").await.unwrap_err();
        assert_eq!(error.code(), Some("53300"), "{error}");
        assert!(error.is_passing() && !error.is_uncertain(), "{error}");
    }
    let after = accepted();
    assert!(after[0] - before[0] <= WRITES * 2, "{before:?} {after:?}");
    assert_eq!(after[1..], before[1..], "the others are asked on the connections that are open");
    assert_eq!(repos.leader().info().code, "home");
    admin.batch_execute("ALTER ROLE app CONNECTION LIMIT -1").await.unwrap();
    eventually("writes go on", DEADLINE, async || add(&repos, "Grace").await.is_ok()).await;
}
