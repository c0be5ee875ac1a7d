//! A database that lacks a migration of the program serves no reads.

use archipelago::{DownReason, Error, ReadResult, Reason, RepoSet, Settings};
use archipelago_lab::{World, eventually};
use diesel::dsl::sql_query;
use diesel::prelude::*;

use super::setup::{DEADLINE, HOUR, Repos, create_users, users};
use super::traffic::{Visitor, crowd, unnoticed, until_all_visit};

const OLDER: &str = "20260101000000";
const NEWER: &str = "20260202000000";

/// A program in `near` that needs both migrations, and runs statements on the primary.
struct Program {
    needing: Repos,
    plain: Repos,
}

impl Program {
    async fn start(settings: &Settings) -> Self {
        let plain = Repos::connect(settings).await.unwrap();
        let needing = settings.clone().requiring_migrations([OLDER, NEWER]).in_region("near");
        Self { needing: Repos::connect(&needing).await.unwrap(), plain }
    }

    async fn run(&self, sql: &str) {
        self.plain.primary().execute(sql_query(sql)).await.unwrap();
    }

    async fn migrate(&self, version: &str) {
        self.run(&format!("INSERT INTO __diesel_schema_migrations VALUES ('{version}')")).await;
    }

    async fn read(&self) -> Result<ReadResult<Vec<String>>, Error> {
        self.needing.replica().load_served::<String>(users::table.select(users::name)).await
    }

    async fn until_served_by(&self, region: &str, reason: Reason) {
        eventually("the read is served as expected", DEADLINE, async || {
            let served_by = self.read().await.map_err(|error| error.to_string())?.served_by;
            ((served_by.region, served_by.reason) == (region, reason))
                .then_some(())
                .ok_or_else(|| served_by.to_string())
        })
        .await;
    }

    async fn until_down(&self, reason: &DownReason) {
        eventually("the replica is down for this reason", DEADLINE, async || {
            let _ = self.read().await;
            let known = self.needing.members().nth(1).unwrap().health().down_reason;
            if known.as_ref() == Some(reason) { Ok(()) } else { Err(known) }
        })
        .await;
    }
}

/// The settings of a world whose table of migrations is empty.
async fn settings(world: &World) -> Settings {
    let settings = create_users(world).await;
    let repos = Repos::connect(&settings).await.unwrap();
    let table = "CREATE TABLE __diesel_schema_migrations (version varchar(50) PRIMARY KEY)";
    repos.primary().execute(sql_query(table)).await.unwrap();
    repos.shutdown().await;
    world.catch_up().await.unwrap();
    settings
}

fn lacks(missing: &[&str]) -> DownReason {
    DownReason::SchemaTooOld { missing: missing.iter().map(ToString::to_string).collect() }
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_replica_without_the_newest_migration_serves_no_reads(world: World) {
    let program = Program::start(&settings(&world).await).await;
    program.migrate(OLDER).await;
    world.catch_up().await.unwrap();
    let near = world.server("near").unwrap();
    near.pause_replay().await.unwrap();
    program.migrate(NEWER).await;

    program.until_down(&lacks(&[NEWER])).await;
    eventually("another database serves", DEADLINE, async || {
        program.read().await.is_ok_and(|read| read.served_by.reason == Reason::Failover)
    })
    .await;
    near.resume_replay().await.unwrap();
    program.until_served_by("near", Reason::Local).await;
}

/// A release: the old program serves, the new one starts while its migration is on the way.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_release_is_not_noticed(world: World) {
    let settings = settings(&world).await.with_max_lag(HOUR).in_region("near");
    let old = settings.clone().requiring_migrations([OLDER]);
    let program = Program::start(&settings).await;
    program.migrate(OLDER).await;
    world.catch_up().await.unwrap();
    let old = Repos::connect(&old).await.unwrap();
    let visitors = crowd(&old);
    let near = world.server("near").unwrap();
    unnoticed(&visitors, async {
        near.pause_replay().await.unwrap();
        program.run("ALTER TABLE users ADD COLUMN nick text NOT NULL DEFAULT ''").await;
        program.migrate(NEWER).await;
        let new = settings.clone().requiring_migrations([OLDER, NEWER]);
        let new = Repos::connect(&new).await.unwrap();
        let names = users::table.select(users::name).limit(10);
        let reader = [Visitor::new("a reader of the new program", async || {
            new.replica().load::<String>(names).await.map(drop)
        })];
        unnoticed(&reader, async {
            eventually("the replica is down for this reason", DEADLINE, async || {
                let known = new.members().nth(1).unwrap().health().down_reason;
                if known == Some(lacks(&[NEWER])) { Ok(()) } else { Err(known) }
            })
            .await;
            until_all_visit(&reader).await;
            until_all_visit(&visitors).await;
            near.resume_replay().await.unwrap();
            eventually("the replica serves", DEADLINE, async || {
                let read = new.replica().load_served::<String>(names).await.unwrap();
                read.served_by.reason == Reason::Local
            })
            .await;
        })
        .await;
    })
    .await;
}

/// It was written on another branch, and merged after the newer one had run.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_migration_with_an_older_date_is_missed(world: World) {
    let program = Program::start(&settings(&world).await).await;
    program.until_down(&lacks(&[OLDER, NEWER])).await;
    program.migrate(NEWER).await;
    program.until_down(&lacks(&[OLDER])).await;
    let why = lacks(&[OLDER]).to_string();
    assert!(why.contains("lacks the migrations 20260101000000 that this program needs"), "{why}");
    program.migrate(OLDER).await;
    program.until_served_by("near", Reason::Local).await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn without_a_table_of_migrations_all_are_missed(world: World) {
    let settings = create_users(&world).await;
    Program::start(&settings).await.until_down(&lacks(&[OLDER, NEWER])).await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_role_that_may_not_see_migrations_is_told_the_grant(world: World) {
    let program = Program::start(&settings(&world).await).await;
    // First: the monitor may look at any moment.
    program.run("REVOKE SELECT ON __diesel_schema_migrations FROM app").await;
    program.migrate(OLDER).await;
    program.migrate(NEWER).await;
    let unreadable = DownReason::SchemaUnreadable { role: "app".to_owned() };
    program.until_down(&unreadable).await;
    let grant = r#"GRANT SELECT ON __diesel_schema_migrations TO "app""#;
    assert!(unreadable.to_string().contains(grant), "{unreadable}");
    let names: Vec<String> =
        program.plain.replica().load(users::table.select(users::name)).await.unwrap();
    assert!(names.is_empty(), "without the requirement, reads go on");
    program.run(grant).await;
    program.until_served_by("near", Reason::Local).await;
}
