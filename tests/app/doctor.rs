//! `archipelago doctor`, started as a person starts it: each fault has a line that names it.

use std::collections::HashMap;
use std::time::Duration;

use archipelago::override_variable;
use archipelago_lab::{World, eventually};
use diesel_async::SimpleAsyncConnection;
use serde_json::Value;

use super::pgbouncer::pooler;
use super::process::output;
use super::site::{
    DEADLINE, PRIMARY, REPLICAS, environment, environment_without_tables, first_replica,
};

/// What it found.
struct Diagnosis {
    is_healthy: bool,
    findings: Vec<Value>,
}

async fn doctor(vars: &HashMap<String, String>) -> Diagnosis {
    let (is_healthy, json, error) = output(&["doctor", "--json"], vars).await;
    let findings = serde_json::from_str(&json);
    Diagnosis { is_healthy, findings: findings.unwrap_or_else(|_| panic!("{json}{error}")) }
}

impl Diagnosis {
    /// The verdict and the text of one check; of none, empty.
    fn of(&self, region: Option<&str>, check: &str) -> (&str, &str) {
        let is_it =
            |finding: &&Value| finding["region"].as_str() == region && finding["check"] == check;
        let found = self.findings.iter().find(is_it);
        found.map_or(("", ""), |finding| {
            (finding["verdict"].as_str().unwrap(), finding["text"].as_str().unwrap())
        })
    }

    /// Asserts that it failed, by this line.
    fn assert_failed(&self, region: &str, check: &str, text: &str) {
        assert!(!self.is_healthy);
        self.assert_says(region, check, "failed", text);
    }

    fn assert_says(&self, region: &str, check: &str, verdict: &str, text: &str) {
        let (found, words) = self.of(Some(region), check);
        let findings = || serde_json::to_string_pretty(&self.findings).unwrap();
        assert_eq!(found, verdict, "{region}, {check}: {}", findings());
        assert!(words.contains(text), "{region}, {check}: {words}");
    }
}

fn with(vars: &HashMap<String, String>, name: &str, value: &str) -> HashMap<String, String> {
    let mut vars = vars.clone();
    vars.insert(name.to_owned(), value.to_owned());
    vars
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn healthy_databases_pass(world: World) {
    let vars = environment(&world).await;
    let found = doctor(&vars).await;
    for region in REPLICAS.iter().chain([&PRIMARY]) {
        for check in ["name", "port", "login", "rights", "sessions", "clock", "role", "cluster"] {
            found.assert_says(region, check, "passed", "");
        }
        found.assert_says(region, "read-only", "passed", "cannot write");
        found.assert_says(region, "tls", "warned", "sslmode=verify-full");
    }
    found.assert_says(first_replica(), "lag", "passed", "at most");
    assert_eq!(found.of(None, "FLY_REGION").0, "passed");
    assert_eq!(found.of(None, "SECRET_KEY").0, "warned");
    assert!(found.is_healthy);

    let (is_healthy, table, progress) = output(&["doctor"], &vars).await;
    assert!(is_healthy && table.contains("FOUND"), "{table}");
    assert!(progress.contains(&format!("asking {PRIMARY}")), "{progress}");
}

/// Settings that lead to the wrong place.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn wrong_settings_are_named(world: World) {
    let vars = environment(&world).await;
    let region = first_replica();
    let variable = override_variable(region);
    let right = &vars[&variable];
    let (login, server) = right.split_once('@').unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let other = world.server(region).unwrap().url_of("postgres");
    for (url, check, text) in [
        (format!("{login}@nowhere.invalid/app"), "name", "has no address"),
        (format!("{login}@{closed}/app"), "port", "is the server running"),
        (
            format!("postgres://stranger:wrong@{server}"),
            "login",
            "mend the user or the password in",
        ),
        (other, "rights", "archipelago migrate"),
    ] {
        doctor(&with(&vars, &variable, &url)).await.assert_failed(region, check, text);
    }
    doctor(&with(&vars, "POOL_SIZE", "1000")).await.assert_failed(
        region,
        "sessions",
        "lower POOL_SIZE",
    );
    let found = doctor(&with(&vars, "POOL_SIZE", "0")).await;
    assert!(!found.is_healthy);
    assert!(found.of(None, "settings").1.contains("POOL_SIZE is `0`"));
    if let Some(pooler) = pooler(&world, "transaction", "").await {
        let found = doctor(&with(&vars, &override_variable(PRIMARY), &pooler.url)).await;
        found.assert_failed(PRIMARY, "login", "DATABASE_POOLER=session");
    }
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn missing_tables_and_rights_are_named(world: World) {
    let vars = environment_without_tables(&world).await;
    let found = doctor(&vars).await;
    found.assert_failed(PRIMARY, "rights", "archipelago migrate");
    found.assert_failed(first_replica(), "cluster", "lacks the migrations");

    environment(&world).await;
    let client = world.primary().client().await.unwrap();
    client.batch_execute("REVOKE UPDATE, DELETE ON users FROM CURRENT_USER").await.unwrap();
    doctor(&vars).await.assert_failed(PRIMARY, "rights", "GRANT UPDATE, DELETE ON users");
    client.batch_execute("REVOKE SELECT ON users FROM CURRENT_USER").await.unwrap();
    world.catch_up().await.unwrap();
    doctor(&vars).await.assert_failed(first_replica(), "rights", "GRANT SELECT ON users");
}

/// A replica that takes writes (faults of A).
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn a_second_primary_and_a_copy_are_named(world: World) {
    let vars = environment(&world).await;
    let replica = world.server(first_replica()).unwrap();
    replica.start_writable().await.unwrap();
    let found = doctor(&vars).await;
    found.assert_failed(first_replica(), "cluster", "standby.signal");
    found.assert_says(first_replica(), "role", "warned", "regions.toml says replica");

    let copied = REPLICAS.last().unwrap();
    world.replace_by_clone(copied).await.unwrap();
    doctor(&vars).await.assert_failed(copied, "cluster", "no replica follows");
}

/// Replicas that answer late, lag, or have another time.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn a_slow_replica_is_named(world: World) {
    let vars = environment(&world).await;
    let replica = world.server(first_replica()).unwrap();
    replica.set_clock(-100).await.unwrap();
    doctor(&vars).await.assert_says(first_replica(), "clock", "warned", "behind this machine's");
    replica.set_clock(0).await.unwrap();

    replica.pause_replay().await.unwrap();
    let found = doctor(&vars).await;
    found.assert_says(first_replica(), "follows", "warned", "replay is paused");
    replica.resume_replay().await.unwrap();

    replica.lag(Duration::from_hours(1)).await.unwrap();
    let client = world.primary().client().await.unwrap();
    eventually("a lag beyond max_lag", DEADLINE, async || {
        client.batch_execute("INSERT INTO users (name, age) VALUES ('Ada', 36)").await.unwrap();
        let found = doctor(&vars).await;
        let lag = found.of(Some(first_replica()), "lag");
        if lag.0 == "warned" { Ok(()) } else { Err(format!("{lag:?}")) }
    })
    .await;

    replica.freeze().await.unwrap();
    let found = doctor(&vars).await;
    replica.thaw().await.unwrap();
    found.assert_failed(first_replica(), "login", "no answer within");
}

/// Runs a statement in the test's database as the superuser.
async fn as_admin(world: &World, sql: &str) {
    let (admin_url, app_url) = (world.primary().admin_url(), world.primary().url());
    let (server, _) = admin_url.rsplit_once('/').unwrap();
    let (_, database) = app_url.rsplit_once('/').unwrap();
    let url = format!("{server}/{database}").parse().unwrap();
    archipelago::connect(&url).await.unwrap().batch_execute(sql).await.unwrap();
}

/// What an administrator has to mend (faults of A and E).
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn missing_grants_and_broken_indexes_are_named(world: World) {
    let vars = environment(&world).await;
    let client = world.primary().client().await.unwrap();
    let insert = "INSERT INTO users (name, age) VALUES ('Ada', 36), ('Ada', 36)";
    client.batch_execute(insert).await.unwrap();
    let index = "CREATE UNIQUE INDEX CONCURRENTLY users_name ON users (name)";
    client.batch_execute(index).await.expect_err("there are two of this name");
    doctor(&vars).await.assert_says(PRIMARY, "indexes", "warned", "users_name");

    as_admin(&world, "REVOKE EXECUTE ON FUNCTION pg_stat_get_wal_senders() FROM PUBLIC").await;
    world.catch_up().await.unwrap();
    let found = doctor(&vars).await;
    for region in [PRIMARY, first_replica()] {
        let grant = "GRANT EXECUTE ON FUNCTION pg_stat_get_wal_senders() TO";
        found.assert_says(region, "monitoring", "warned", grant);
    }
}

/// A promotion that left the old primary running, one without a primary, and a primary that was put
/// back (faults of A).
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn an_old_primary_and_a_lost_history_are_named(world: World) {
    let vars = environment(&world).await;
    let found = doctor(&vars).await;
    found.assert_says(first_replica(), "follows", "passed", "receives the log from");
    assert_eq!(found.of(None, "writes").0, "passed");

    let backup = world.backup().await.unwrap();
    // More than the primary writes while it recovers.
    as_admin(&world, "SELECT pg_switch_wal()").await;
    as_admin(&world, "INSERT INTO users (name, age) VALUES ('Ada', 36)").await;
    world.catch_up().await.unwrap();
    world.put_back_to(backup).await.unwrap();
    doctor(&vars).await.assert_failed(first_replica(), "cluster", "reaches further");

    world.promote(first_replica()).await.unwrap();
    let found = doctor(&vars).await;
    found.assert_failed(PRIMARY, "cluster", "takes writes on timeline");
    found.assert_says(first_replica(), "role", "warned", "make `primary` there the new one");

    world.server(first_replica()).unwrap().kill().await.unwrap();
    world.server(PRIMARY).unwrap().kill().await.unwrap();
    let found = doctor(&vars).await;
    found.assert_failed(PRIMARY, "port", "is the server running");
    let (verdict, text) = found.of(None, "writes");
    assert_eq!(verdict, "failed", "{text}");
    assert!(text.contains("no database takes them"), "{text}");
    let follower = REPLICAS.last().unwrap();
    found.assert_says(follower, "follows", "warned", "receives no log");
}

/// Certificates that do not fit, and URLs with what is not supported (faults of E).
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn wrong_tls_and_urls_are_named(world: World) {
    let vars = environment(&world).await;
    let region = first_replica();
    let variable = override_variable(region);
    let url = |suffix: &str| format!("{}?{suffix}", vars[&variable]);
    let found = doctor(&with(&vars, &variable, &url("sslmode=require"))).await;
    found.assert_failed(region, "login", "TLS");
    let found =
        doctor(&with(&vars, &variable, &url("sslrootcert=/nowhere&sslmode=verify-full"))).await;
    assert!(!found.is_healthy);
    let found = doctor(&with(&vars, &variable, &url("no_such_option=1"))).await;
    assert!(found.of(None, "settings").1.contains("libpq does not know"), "{:?}", found.findings);
}
