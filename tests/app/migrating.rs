//! `migrate` while others use the tables, or migrate too.

use std::cell::Cell;
use std::time::{Duration, Instant};

use archipelago::DatabaseUrl;
use archipelago_app::migrations::{self, MigrationError};
use archipelago_lab::{World, eventually};
use diesel::dsl::sql;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::future::join_all;
use reqwest::StatusCode;

use super::site::{
    DEADLINE, PRIMARY, Page, REPLICAS, Site, environment, environment_without_tables,
    first_replica, primary, settings,
};

/// Undoes the newest migration, which alters the table of users.
const UNDO: &str = "ALTER TABLE users DROP COLUMN inserted_at, DROP COLUMN updated_at;
    DELETE FROM __diesel_schema_migrations WHERE version = '20261127000000'";

const NEWEST: &str = "2026-11-27-000000_add_users_timestamps";

/// The lock of all migrations.
const LOCK: &str = "SELECT pg_advisory_lock(x'617263686970'::bigint)";

async fn url(world: &World) -> DatabaseUrl {
    let vars = environment(world).await;
    settings(&vars).databases.url(primary()).unwrap().clone()
}

async fn count(connection: &mut AsyncPgConnection, query: &str) -> i64 {
    diesel::select(sql::<BigInt>(query)).get_result(connection).await.unwrap()
}

/// A transaction that has only read stays open: a report, a `pg_dump`, a psql left alone.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn visitors_do_not_wait_behind_a_migration_that_waits(world: World) {
    let url = url(&world).await;
    let mut reader = archipelago::connect(&url).await.unwrap();
    let mut visitor = archipelago::connect(&url).await.unwrap();
    visitor.batch_execute(UNDO).await.unwrap();
    reader.batch_execute("BEGIN; SELECT count(*) FROM users").await.unwrap();

    let migrating = tokio::spawn(async move { migrations::run(&url).await });
    let waits = "(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND wait_event_type = 'Lock' AND query LIKE '%ADD COLUMN IF NOT EXISTS inserted_at%')";
    for _ in 0..2 {
        eventually("the migration waits for the table", DEADLINE, async || {
            count(&mut visitor, waits).await == 1
        })
        .await;
        let begun = Instant::now();
        count(&mut visitor, "(SELECT count(*) FROM users)").await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        eventually("the migration lets others pass", DEADLINE, async || {
            count(&mut visitor, waits).await == 0
        })
        .await;
    }
    assert!(!migrating.is_finished(), "it goes on trying");
    reader.batch_execute("COMMIT").await.unwrap();
    assert_eq!(migrating.await.unwrap().unwrap(), [NEWEST]);
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn of_two_processes_one_migrates_after_the_other(world: World) {
    let vars = environment_without_tables(&world).await;
    let url = settings(&vars).databases.url(primary()).unwrap().clone();
    let mut holder = archipelago::connect(&url).await.unwrap();
    holder.batch_execute(LOCK).await.unwrap();
    let run = |url: DatabaseUrl| tokio::spawn(async move { migrations::run(&url).await });
    let both = [run(url.clone()), run(url)];
    // A snapshot would hold up a CREATE INDEX CONCURRENTLY of the one that migrates.
    let waiting = "(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND query LIKE '%pg_try_advisory_lock%' AND pid <> pg_backend_pid()
        AND state = 'idle' AND backend_xmin IS NULL)";
    eventually("both wait, and hold no snapshot", DEADLINE, async || {
        count(&mut holder, waiting).await == 2
    })
    .await;
    drop(holder);
    let [one, other] = both;
    let mut ran = [one.await.unwrap().unwrap(), other.await.unwrap().unwrap()];
    ran.sort_by_key(Vec::len);
    let [none, all] = ran;
    assert_eq!(none, [""; 0]);
    assert_eq!(all.last().map(String::as_str), Some(NEWEST));
}

/// The role of an app with the fewest rights.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn where_nothing_is_pending_no_right_to_create_is_needed(world: World) {
    let url = url(&world).await;
    let (_, server) = url.expose().rsplit_once('@').unwrap();
    let as_role = |login: &str| format!("{login}@{server}").parse::<DatabaseUrl>().unwrap();
    let admin_url = world.primary().admin_url();
    let (admin, _) = admin_url.rsplit_once('@').unwrap();
    let mut admin = archipelago::connect(&as_role(admin)).await.unwrap();
    let role = "CREATE ROLE visitor LOGIN PASSWORD 'secret';
        GRANT SELECT ON __diesel_schema_migrations TO visitor";
    admin.batch_execute(role).await.unwrap();
    let visitor = as_role("postgres://visitor:secret");
    assert_eq!(migrations::run(&visitor).await.unwrap(), [""; 0]);
    admin.batch_execute(UNDO).await.unwrap();
    assert!(matches!(migrations::run(&visitor).await, Err(MigrationError::Refused(_))));
    let drop = "REVOKE ALL ON __diesel_schema_migrations FROM visitor; DROP ROLE visitor";
    admin.batch_execute(drop).await.unwrap();
}

/// An instance of the previous version writes to the new table, and one of this version shows it.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_row_of_the_previous_version_has_dates(world: World) {
    let vars = environment(&world).await;
    let url = settings(&vars).databases.url(primary()).unwrap().clone();
    let mut previous = archipelago::connect(&url).await.unwrap();
    previous.batch_execute("INSERT INTO users (name, age) VALUES ('Ada', 36)").await.unwrap();
    world.catch_up().await.unwrap();
    let site = Site::of(&vars);
    eventually("the user is shown with its dates", DEADLINE, async || {
        let Page { body: text, .. } = site.get("/users/1").await;
        text.contains("Created</dt>") && text.contains(" GMT</dd>")
    })
    .await;
    assert!(REPLICAS.contains(&first_replica()));
}

/// What the migrations of a next version may do while instances of this one serve.
const NEXT: [&str; 8] = [
    "ALTER TABLE users ADD COLUMN nick text",
    "ALTER TABLE users ADD COLUMN score bigint NOT NULL DEFAULT 7",
    "DROP INDEX CONCURRENTLY IF EXISTS users_name",
    "CREATE INDEX CONCURRENTLY users_name ON users (name)",
    "ALTER TABLE users ADD CONSTRAINT born CHECK (age >= 0) NOT VALID",
    "ALTER TABLE users VALIDATE CONSTRAINT born",
    "ALTER TABLE users DROP COLUMN nick",
    "INSERT INTO __diesel_schema_migrations VALUES ('20991231000000')",
];

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn the_migrations_of_the_next_version_are_not_noticed(world: World) {
    let vars = environment(&world).await;
    let url = settings(&vars).databases.url(primary()).unwrap().clone();
    let mut next = archipelago::connect(&url).await.unwrap();
    let site = Site::of(&vars);
    let user = site.until_saved(&[("user[name]", "Ada"), ("user[age]", "36")]).await;
    let user = user.header("location").unwrap();
    let visits = [const { Cell::new(0) }; 5];
    let read = async |visits: &Cell<u32>, path: &str| loop {
        let page = site.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        visits.set(visits.get() + 1);
    };
    let write = async |visits: &Cell<u32>| loop {
        site.create("Grace", "37").await;
        visits.set(visits.get() + 1);
    };
    let [list, again, one, other, writer] = &visits;
    let visiting = async {
        let readers = [(list, "/users"), (again, "/users"), (one, &user), (other, &user)];
        let readers = join_all(readers.map(|(visits, path)| read(visits, path)));
        tokio::join!(readers, write(writer))
    };
    let migrating = async {
        for statement in NEXT {
            next.batch_execute(statement).await.unwrap();
            world.catch_up().await.unwrap();
            let before = visits.each_ref().map(Cell::get);
            // The visit under way may have begun earlier.
            eventually("each visitor visits", DEADLINE, async || {
                visits.iter().zip(before).all(|(visits, before)| visits.get() >= before + 2)
            })
            .await;
        }
    };
    tokio::select! {
        () = Box::pin(migrating) => {}
        _ = Box::pin(visiting) => unreachable!("visitors go on for ever"),
    }
}

/// An instance of this version starts before its migration has run.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn an_instance_waits_for_its_migration(world: World) {
    let vars = environment(&world).await;
    let url = settings(&vars).databases.url(primary()).unwrap().clone();
    archipelago::connect(&url).await.unwrap().batch_execute(UNDO).await.unwrap();
    world.catch_up().await.unwrap();
    let site = Site::of(&vars);
    let pages = || join_all((0..8).map(|_| site.get("/users")));
    for _ in 0..3 {
        for page in pages().await {
            assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.body);
            assert_eq!(page.header("retry-after").as_deref(), Some("5"));
        }
    }
    migrations::run(&url).await.unwrap();
    eventually("all visitors are served", DEADLINE, async || {
        let statuses: Vec<_> = pages().await.iter().map(|page| page.status).collect();
        let is_known =
            |it: &StatusCode| [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(it);
        assert!(statuses.iter().all(is_known), "{statuses:?}");
        statuses.iter().all(|status| *status == StatusCode::OK)
    })
    .await;
}
