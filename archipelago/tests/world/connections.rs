//! Connections that a server refuses or ends while visitors read and write.

use std::sync::Arc;
use std::time::{Duration, Instant};

use archipelago::{DatabaseUrl, DownReason, Login, Reason, RepoSet, Settings};
use archipelago_lab::{World, eventually};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use parking_lot::Mutex;
use tokio::time::sleep;

use super::relay::Relay;
use super::setup::{DEADLINE, HOUR, Repos, admin, alter_database, as_admin, create_users, users};
use super::traffic::{
    Visitor, add, among, crowd, forget_noticed, unnoticed, until_all_visit, visit_once,
};

/// Ends the sessions of this role in the database of the test, at all servers: those whose
/// application name is like `name`.
async fn end_sessions(world: &World, role: &str, name: &str) {
    let end = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND usename = '{role}'
             AND application_name LIKE '{name}'"
    );
    for region in ["home", "near", "far"] {
        admin(world, region).await.batch_execute(&end).await.unwrap();
    }
}

/// Waits until each visitor is refused, and counts the attempts to connect in a second.
async fn assert_full(visitors: &[Visitor<'_>], relay: &Relay) {
    until_all_visit(visitors).await;
    forget_noticed(visitors);
    let (attempts, begun) = (relay.accepted(), Instant::now());
    until_all_visit(visitors).await;
    eventually("some time passes", DEADLINE, async || begun.elapsed() > Duration::from_secs(1))
        .await;
    let (attempts, took) = (relay.accepted() - attempts, begun.elapsed());
    let a_second = attempts / usize::try_from(took.as_secs()).unwrap();
    assert!(a_second < 40, "{attempts} attempts in {took:?}");
    for visitor in visitors {
        let noticed = visitor.take_noticed();
        assert!(!noticed.is_empty());
        for error in noticed {
            assert_eq!(error.code(), Some("53300"), "{error}");
            assert!(error.is_passing() && !error.is_uncertain(), "{error}");
        }
    }
}

async fn until_served_again(visitors: &[Visitor<'_>]) {
    let freed = Instant::now();
    eventually("all are served again", DEADLINE, async || {
        until_all_visit(visitors).await;
        visitors.iter().all(|visitor| visitor.take_noticed().is_empty())
    })
    .await;
    assert!(freed.elapsed() < Duration::from_secs(10), "{:?}", freed.elapsed());
}

/// A role may have no connection for a while, not even the monitor's.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_full_role_is_named_and_used_again(world: World) {
    let settings = logging_in(&create_users(&world).await, "crowded:secret", "");
    as_admin(&world, "CREATE ROLE crowded LOGIN PASSWORD 'secret' IN ROLE app").await;
    let (relay, url) = Relay::start(settings.url("home").unwrap().expose()).await;
    let settings = Settings::single_database::<Repos>(&url).unwrap();
    let repos = Repos::connect(&settings).await.unwrap();
    let visitors = crowd(&repos);
    among(&visitors, async {
        visitors.iter().for_each(Visitor::assert_noticed_nothing);
        as_admin(&world, "ALTER ROLE crowded CONNECTION LIMIT 0").await;
        end_sessions(&world, "crowded", "archipelago%").await;
        assert_full(&visitors, &relay).await;
        as_admin(&world, "ALTER ROLE crowded CONNECTION LIMIT -1").await;
        until_served_again(&visitors).await;
    })
    .await;
}

/// Other programs hold every connection of the server, and the program only its monitor's.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_full_server_is_not_stormed(world: World) {
    create_users(&world).await;
    as_admin(&world, "ALTER SYSTEM SET max_connections = 20").await;
    world.primary().stop().await.unwrap();
    world.primary().start().await.unwrap();
    let (relay, url) = Relay::start(&world.primary().url()).await;
    let settings = Settings::single_database::<Repos>(&url).unwrap().with_pool_size(4);
    let repos = Repos::connect(&settings).await.unwrap();
    let visitors = crowd(&repos);
    eventually("the primary serves", DEADLINE, async || add(&repos).await.is_ok()).await;
    // No visitor comes before the server is full.
    end_sessions(&world, "app", "archipelago").await;
    let others = connect_others(&world.primary().url()).await;
    among(&visitors, async {
        assert_full(&visitors, &relay).await;
        drop(others);
        until_served_again(&visitors).await;
    })
    .await;
}

/// As many sessions of other programs as the server has room for.
async fn connect_others(url: &str) -> Vec<AsyncPgConnection> {
    let url: DatabaseUrl = format!("{url}?application_name=other").parse().unwrap();
    let mut others = Vec::new();
    while let Ok(other) = archipelago::connect(&url).await {
        others.push(other);
    }
    others
}

/// The same databases, where this role logs in, with these parameters and without a password.
fn logging_in(settings: &Settings, role: &str, parameters: &str) -> Settings {
    ["home", "near", "far"].into_iter().fold(settings.clone(), |settings, region| {
        let url = settings.url(region).unwrap().expose().to_owned();
        let (_, rest) = url.rsplit_once('@').unwrap();
        settings.with_url(region, &format!("postgres://{role}@{rest}{parameters}")).unwrap()
    })
}

/// The password of this role changes twice while visitors are served. `tell` tells the program.
async fn rotate(world: &World, role: &str, settings: Settings, tell: impl Fn(&str)) {
    as_admin(world, &format!("CREATE ROLE {role} LOGIN PASSWORD 'first' IN ROLE app")).await;
    tell("first");
    let repos = Repos::connect(&settings.with_max_lag(HOUR).in_region("near")).await.unwrap();
    let visitors = crowd(&repos);
    unnoticed(&visitors, async {
        as_admin(world, &format!("ALTER ROLE {role} PASSWORD 'second'")).await;
        until_all_visit(&visitors).await;
    })
    .await;

    // The program knows the old password only, and needs new connections.
    end_sessions(world, role, "archipelago%").await;
    let names = || users::table.select(users::name).limit(10);
    let error = eventually("a read is refused", DEADLINE, async || {
        repos.replica().load::<String>(names()).await.err()
    });
    let error = error.await;
    assert_eq!(error.code(), Some("28P01"), "{error}");
    assert!(error.is_passing() && !error.is_uncertain(), "{error}");
    let error = eventually("a write is refused", DEADLINE, async || add(&repos).await.err()).await;
    assert!(!error.is_uncertain(), "{error}");
    assert!(error.to_string().contains("password authentication failed"), "{error}");
    eventually("the monitor names the reason", DEADLINE, async || {
        let known = repos.members().map(|member| member.health().down_reason);
        let known: Vec<_> = known.collect();
        let is_wrong_password = |reason: &Option<DownReason>| match reason {
            Some(DownReason::Refused { sqlstate, .. }) => sqlstate.as_deref() == Some("28P01"),
            _ => false,
        };
        if known[..2].iter().all(is_wrong_password) { Ok(()) } else { Err(known) }
    })
    .await;

    tell("second");
    eventually("reads and writes are served again", DEADLINE, async || {
        let read = repos.replica().load_served::<String>(names()).await;
        read.is_ok_and(|read| read.served_by.reason == Reason::Local) && add(&repos).await.is_ok()
    })
    .await;
    let visitors = crowd(&repos);
    unnoticed(&visitors, async {}).await;
    repos.shutdown().await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_password_is_rotated_in_a_file(world: World) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let parameter = format!("?passfile={}", file.path().display());
    let settings = logging_in(&create_users(&world).await, "of_file", &parameter);
    rotate(&world, "of_file", settings, |password| {
        std::fs::write(file.path(), format!("*:*:*:of_file:{password}\n")).unwrap();
    })
    .await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_password_is_rotated_behind_a_function(world: World) {
    let settings = logging_in(&create_users(&world).await, "of_function", "");
    let current = Arc::new(Mutex::new(String::new()));
    let known = current.clone();
    let settings = settings.with_password(move |_: Login| {
        let password = known.lock().clone();
        async move { Ok::<_, std::io::Error>(password) }
    });
    rotate(&world, "of_function", settings, |password| password.clone_into(&mut current.lock()))
        .await;
}

/// Visitors come just when the server ends the sessions that they use.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn sessions_that_end_while_idle_are_not_noticed(world: World) {
    let settings = create_users(&world).await.with_max_lag(HOUR).in_region("near");
    alter_database(&world, "SET idle_session_timeout = ''300 ms''").await;
    let repos = Repos::connect(&settings).await.unwrap();
    let visitors = crowd(&repos);
    for step in 0..8 {
        sleep(Duration::from_millis(296 + step)).await;
        visit_once(&visitors).await;
        visitors.iter().for_each(Visitor::assert_noticed_nothing);
    }
    repos.shutdown().await;
}

/// The monitor asks once a second, just when the server ends its session.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_monitor_whose_session_ends_while_idle_knows_its_members(world: World) {
    let settings = create_users(&world).await.with_max_lag(HOUR).in_region("near");
    alter_database(&world, "SET idle_session_timeout = ''1 s''").await;
    let repos = Repos::connect(&settings).await.unwrap();
    let near = || repos.members().nth(1).unwrap().health();
    eventually("the replica is watched", DEADLINE, async || near().lag.is_some()).await;
    let begun = Instant::now();
    let visitors = crowd(&repos);
    unnoticed(&visitors, async {
        eventually("the monitor has asked several times", DEADLINE, async || {
            assert_eq!(near().up, Some(true));
            begun.elapsed() > Duration::from_secs(4)
                && near().lag.is_some_and(|lag| lag < Duration::from_secs(3))
        })
        .await;
    })
    .await;
    repos.shutdown().await;
}
