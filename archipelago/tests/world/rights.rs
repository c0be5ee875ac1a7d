//! Three roles with the fewest rights, and what happens without each right. The list of them is that
//! of the page docs/deploying.md.

use std::fs;

use archipelago::{
    Committed, DatabaseUrl, DownReason, Error, Freshness, NotServed, Settings, Timeouts,
    connect_with_errors,
};
use archipelago_lab::{World, eventually};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use super::setup::{DEADLINE, HOUR, admin, users};
use super::warnings;

// By these names the log tells which warnings are of this test.
archipelago::repos! { primary bonn; replica lima }

diesel::table! {
    notes (id) { id -> BigInt, text -> Text }
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/deploying.md");

const VERSION: &str = "20260101000000";

/// What `migrate` does as the owner.
const MIGRATE: &str = "CREATE TABLE __diesel_schema_migrations (
        version varchar(50) PRIMARY KEY,
        run_on timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
    );
    INSERT INTO __diesel_schema_migrations VALUES ('20260101000000');
    CREATE TABLE users (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL,
        age integer NOT NULL
    );
    CREATE TABLE notes (id bigserial PRIMARY KEY, text text NOT NULL)";

/// A right, and all that is different without it.
struct Right {
    roles: &'static str,
    name: &'static str,
    without: &'static [&'static str],
}

const fn right(roles: &'static str, name: &'static str, without: &'static [&'static str]) -> Right {
    Right { roles, name, without }
}

/// What a server is to be asked for, and what is different where both roles may not call it.
const fn function(name: &'static str, without: &'static [&'static str]) -> Right {
    Right { roles: "reader, writer", name, without }
}

/// Where the role for reading is told nothing, no database is known to be the primary.
const NOTHING: &[&str] = &[
    "read: 42501",
    "insert: no primary",
    "update: no primary",
    "delete: no primary",
    "note: no primary",
    "fresh: none",
];

const NO_SCHEMA: &[&str] = &[
    "read: schema_unreadable",
    "fresh: schema_unreadable",
    "log: SELECT ON __diesel_schema_migrations",
];

const RIGHTS: &[Right] = &[
    right("owner", "CONNECT ON DATABASE app", &["migrate: 42501"]),
    right("owner", "USAGE, CREATE ON SCHEMA public", &["migrate: 3F000"]),
    right("reader", "CONNECT ON DATABASE app", NOTHING),
    right("reader", "USAGE ON SCHEMA public", NO_SCHEMA),
    right("reader", "SELECT ON users", &["read: 42501", "fresh: 42501"]),
    right("reader", "SELECT ON __diesel_schema_migrations", NO_SCHEMA),
    right("reader", "pg_read_all_stats", &["log: pg_read_all_stats"]),
    right(
        "writer",
        "CONNECT ON DATABASE app",
        &["insert: 42501", "update: 42501", "delete: 42501", "note: 42501", "fresh: none"],
    ),
    right(
        "writer",
        "USAGE ON SCHEMA public",
        &["insert: 42P01", "update: 42P01", "delete: 42P01", "note: 42P01", "fresh: none"],
    ),
    right("writer", "SELECT ON users", &["update: 42501", "delete: 42501"]),
    right("writer", "INSERT ON users, notes", &["insert: 42501", "note: 42501", "fresh: none"]),
    right("writer", "UPDATE ON users", &["update: 42501"]),
    right("writer", "DELETE ON users", &["delete: 42501"]),
    right("writer", "USAGE ON SEQUENCE notes_id_seq", &["note: 42501"]),
    function("EXECUTE ON FUNCTION pg_is_in_recovery()", NOTHING),
    function("EXECUTE ON FUNCTION pg_postmaster_start_time()", NOTHING),
    function(
        "EXECUTE ON FUNCTION pg_control_system()",
        &["system: 0", "log: EXECUTE ON FUNCTION pg_control_system()"],
    ),
    function(
        "EXECUTE ON FUNCTION pg_control_checkpoint()",
        &["log: EXECUTE ON FUNCTION pg_control_checkpoint()"],
    ),
    function(
        "EXECUTE ON FUNCTION pg_control_recovery()",
        &["log: EXECUTE ON FUNCTION pg_control_recovery()"],
    ),
    function(
        "EXECUTE ON FUNCTION pg_stat_get_wal_receiver()",
        &["log: EXECUTE ON FUNCTION pg_stat_get_wal_receiver()"],
    ),
    function(
        "EXECUTE ON FUNCTION pg_stat_get_wal_senders()",
        &["log: EXECUTE ON FUNCTION pg_stat_get_wal_senders()"],
    ),
    function(
        "EXECUTE ON FUNCTION pg_stat_get_activity(integer)",
        &["log: EXECUTE ON FUNCTION pg_stat_get_activity(integer)"],
    ),
    function(
        "EXECUTE ON FUNCTION pg_walfile_name(pg_lsn)",
        &["timeline: 0", "log: EXECUTE ON FUNCTION pg_walfile_name(pg_lsn)"],
    ),
    function(
        "EXECUTE ON FUNCTION pg_current_wal_insert_lsn()",
        &[
            "fresh: bonn",
            "timeline: 0",
            "position: unknown",
            "log: EXECUTE ON FUNCTION pg_current_wal_insert_lsn()",
        ],
    ),
    right(
        "writer",
        "EXECUTE ON FUNCTION pg_current_wal_flush_lsn()",
        &["fresh: bonn", "position: unknown"],
    ),
    function(
        "EXECUTE ON FUNCTION pg_last_wal_receive_lsn()",
        &["log: EXECUTE ON FUNCTION pg_last_wal_receive_lsn()"],
    ),
    function(
        "EXECUTE ON FUNCTION pg_last_wal_replay_lsn()",
        &["fresh: bonn", "log: EXECUTE ON FUNCTION pg_last_wal_replay_lsn()"],
    ),
    function(
        "EXECUTE ON FUNCTION pg_last_xact_replay_timestamp()",
        &["log: EXECUTE ON FUNCTION pg_last_xact_replay_timestamp()"],
    ),
    function(
        "EXECUTE ON FUNCTION pg_get_wal_replay_pause_state()",
        &["log: EXECUTE ON FUNCTION pg_get_wal_replay_pause_state()"],
    ),
    right(
        "reader",
        "EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text)",
        &["log: EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text)"],
    ),
];

/// The function of the heartbeat, as PostgreSQL 14 to 16 have it.
const EMIT_MESSAGE: &str = "pg_logical_emit_message(boolean, text, text)";

/// The function of the heartbeat, as the world's version of `PostgreSQL` has it.
pub fn emit_message(world: &World) -> &'static str {
    if world.postgres().major() < 17 {
        EMIT_MESSAGE
    } else {
        "pg_logical_emit_message(boolean, text, text, boolean)"
    }
}

impl Right {
    fn on(&self, world: &World) -> String {
        self.name.replace(EMIT_MESSAGE, emit_message(world))
    }

    fn grant(&self, world: &World) -> String {
        format!("GRANT {} TO {}", self.on(world), self.roles)
    }

    fn revoke(&self, world: &World) -> String {
        format!("REVOKE {} FROM {}", self.on(world), self.roles)
    }
}

/// The three roles of a world, and an administrator.
struct Roles {
    settings: Settings,
    owner: DatabaseUrl,
    admin: AsyncPgConnection,
}

impl Roles {
    /// Without any right of PUBLIC, each role has those of the list. The owner has migrated.
    async fn create(world: &World) -> Self {
        let mut admin = admin(world, "home").await;
        let functions = RIGHTS.iter().filter(|it| it.name.starts_with("EXECUTE"));
        let revoke = functions.map(|it| format!("REVOKE {} FROM PUBLIC;", it.on(world)));
        let revoke = revoke.collect::<String>();
        admin
            .batch_execute(&format!(
                "CREATE ROLE owner LOGIN PASSWORD 'secret';
                CREATE ROLE writer LOGIN PASSWORD 'secret';
                CREATE ROLE reader LOGIN PASSWORD 'secret';
                REVOKE ALL ON DATABASE app FROM PUBLIC;
                REVOKE ALL ON SCHEMA public FROM PUBLIC;
                {revoke}"
            ))
            .await
            .unwrap();
        let url = |region: &str, role: &str| {
            let url = world.server(region).unwrap().url();
            let (_, server) = url.split_once('@').unwrap();
            format!("postgres://{role}:secret@{server}")
        };
        let owner: DatabaseUrl = url("home", "owner").parse().unwrap();
        let of_owner = |it: &&Right| it.roles == "owner";
        for right in RIGHTS.iter().filter(of_owner) {
            admin.batch_execute(&right.grant(world)).await.unwrap();
        }
        let (mut migrating, _) = connect_with_errors(&owner).await.unwrap();
        migrating.batch_execute(MIGRATE).await.unwrap();
        for right in RIGHTS.iter().filter(|it| !of_owner(it)) {
            admin.batch_execute(&right.grant(world)).await.unwrap();
        }
        world.catch_up().await.unwrap();

        let settings = Settings::single_database::<Repos>(&url("home", "writer")).unwrap();
        let settings = settings
            .with_url("lima", &url("near", "writer"))
            .unwrap()
            .with_reading_user("reader", Some("secret".to_owned()))
            .requiring_migrations([VERSION])
            .in_region("lima")
            .with_max_lag(HOUR)
            // So that an instance far from the primary sends heartbeats.
            .with_monitor_rest(HOUR)
            .with_timeouts(Timeouts::default().with_shutdown(DEADLINE).unwrap());
        Self { settings, owner, admin }
    }
}

/// What each use comes to, where that is not what it should be.
async fn differences(world: &World, roles: &Roles, repos: &Repos, log: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, is: String, should_be: &str| {
        if is != should_be {
            found.push(format!("{what}: {is}"));
        }
    };
    compare("migrate", migrate(&roles.owner).await, "done");
    let read = async |freshness: Freshness| {
        let names = users::table.select(users::name);
        let read = repos.replica().fresh(freshness).load_served::<String>(names).await;
        read.map_or_else(|error| told(&error), |read| read.served_by.region.to_owned())
    };
    compare("read", read(Freshness::Any).await, "lima");

    let write = |written: Result<Committed<usize>, Error>| {
        written.map_or_else(|error| told(&error), |_| "done".to_owned())
    };
    let primary = repos.primary();
    let ada = diesel::insert_into(users::table).values((users::name.eq("Ada"), users::age.eq(36)));
    let inserted = primary.execute(ada).await;
    let position = inserted.as_ref().ok().map(|inserted| inserted.position);
    compare("insert", write(inserted), "done");
    let is_ada = || users::table.filter(users::name.eq("Ada"));
    let updated = primary.transaction(async |connection| {
        let older = diesel::update(is_ada()).set(users::age.eq(37));
        Ok::<_, Error>(older.execute(connection).await?)
    });
    compare("update", write(updated.await), "done");
    compare("delete", write(primary.execute(diesel::delete(is_ada())).await), "done");
    let note = diesel::insert_into(notes::table).values(notes::text.eq("hello"));
    compare("note", write(primary.execute(note).await), "done");

    world.catch_up().await.unwrap();
    let fresh = match position {
        Some(position) => read(Freshness::AtLeast(position)).await,
        None => "none".to_owned(),
    };
    compare("fresh", fresh, "lima");
    if let Some(position) = position {
        compare("system", position.system().min(1).to_string(), "1");
        compare("timeline", position.timeline().to_string(), "1");
        let is_known = if position.is_unknown() { "unknown" } else { "known" };
        compare("position", is_known.to_owned(), "known");
    }
    compare("log", rights_to_grant(log), "");
    found
}

/// Migrates as the owner; returns the SQLSTATE of a failure.
async fn migrate(owner: &DatabaseUrl) -> String {
    let (mut connection, errors) = match connect_with_errors(owner).await {
        Ok(connected) => connected,
        Err(DownReason::Refused { sqlstate: Some(code), .. }) => return code,
        Err(reason) => return reason.to_string(),
    };
    match connection.batch_execute("CREATE TABLE t (); DROP TABLE t").await {
        Ok(()) => "done".to_owned(),
        Err(error) => errors.take_code().unwrap_or_else(|| error.to_string()),
    }
}

/// The SQLSTATE of a failure, or what it says in its place.
fn told(error: &Error) -> String {
    let label = || match error {
        Error::NotServed { tried } => match tried.last().map(|tried| &tried.reason) {
            Some(NotServed::Down(reason)) => reason.label().to_owned(),
            _ => error.to_string(),
        },
        Error::NoPrimary { .. } => "no primary".to_owned(),
        error => error.to_string(),
    };
    error.code().map_or_else(label, str::to_owned)
}

/// Which rights the log has named since then, each with GRANT.
fn rights_to_grant(log: usize) -> String {
    let lines = ["bonn", "lima"].map(|region| warnings::of(region, log)).concat();
    let is_named = |right: &&str| {
        let name = right.trim_start_matches("EXECUTE ON FUNCTION ");
        lines.iter().any(|line| line.contains("GRANT") && line.contains(name))
    };
    RIGHTS.iter().map(|right| right.name).filter(is_named).collect::<Vec<_>>().join(", ")
}

/// A process that has just started finds this, soon.
async fn assert_differences(world: &World, roles: &Roles, without: &[&str], right: &str) {
    let log = warnings::end();
    let repos = Repos::connect(&roles.settings).await.unwrap();
    eventually(&format!("without {right:?}"), DEADLINE, async || {
        let found = differences(world, roles, &repos, log).await;
        if found == without { Ok(()) } else { Err(found) }
    })
    .await;
    repos.shutdown().await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near"], own_servers)]
async fn three_roles_with_the_fewest_rights_are_enough(world: World) {
    warnings::keep();
    let roles = Roles::create(&world).await;
    assert_differences(&world, &roles, &[], "").await;

    // A session that is not read-only, as an attacker may have one.
    let insert = "INSERT INTO users (name, age) VALUES ('Mallory', 1)";
    for (role, statement) in [
        ("reader", insert),
        ("reader", "CREATE TABLE t ()"),
        ("writer", "CREATE TABLE t ()"),
        ("writer", "DROP TABLE users"),
        ("writer", "TRUNCATE users"),
        ("writer", "DELETE FROM __diesel_schema_migrations"),
    ] {
        let url = roles.owner.expose().replace("owner", role).parse().unwrap();
        let (mut connection, errors) = connect_with_errors(&url).await.unwrap();
        connection.batch_execute(statement).await.unwrap_err();
        assert_eq!(errors.take_code().as_deref(), Some("42501"), "{role}: {statement}");
    }
}

#[archipelago_lab::test(primary = "home", replicas = ["near"], own_servers)]
async fn what_happens_without_each_right(world: World) {
    warnings::keep();
    let mut roles = Roles::create(&world).await;
    for right in RIGHTS {
        roles.admin.batch_execute(&right.revoke(&world)).await.unwrap();
        world.catch_up().await.unwrap();
        assert_differences(&world, &roles, right.without, right.name).await;
        roles.admin.batch_execute(&right.grant(&world)).await.unwrap();
    }
    world.catch_up().await.unwrap();
    assert_differences(&world, &roles, &[], "").await;
}

/// The rows are in the same order. Each names the SQLSTATE that its right is missed by, and says
/// whether the log names the right.
#[test]
fn the_page_lists_each_right() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (_, section) = page.split_once("\n### Rights\n").unwrap();
    let lines = section.lines().take_while(|line| !line.starts_with('#'));
    let rows: Vec<Vec<&str>> = lines
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let listed: Vec<_> = rows.iter().map(|row| (row[1], row[0].trim_matches('`'))).collect();
    let tested: Vec<_> = RIGHTS.iter().map(|right| (right.roles, right.name)).collect();
    assert_eq!(listed, tested);
    for (row, Right { name, without, .. }) in rows.iter().zip(RIGHTS) {
        let is_logged = without.iter().any(|it| it.starts_with("log: "));
        assert_eq!(row[2].ends_with("the log names it"), is_logged, "{name}");
        let outcomes = without.iter().map(|it| it.split_once(": ").unwrap().1);
        for outcome in outcomes.filter(|it| it.len() == 5 && it.starts_with(['3', '4'])) {
            assert!(row[2].contains(outcome), "{name}: {outcome} is not in {:?}", row[2]);
        }
    }
}
