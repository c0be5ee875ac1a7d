//! The program itself, started as a person starts it.

use std::collections::HashMap;
use std::net::SocketAddr;

use archipelago_app::repos::Repos;
use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use expect_test::{Expect, expect};
use reqwest::StatusCode;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::interval;

use super::process::{Serving, output, vars};
use super::site::{
    BETWEEN_LOOKS, DEADLINE, Page, environment, first_replica, shared_world, until, visitor,
};

/// Before the address of the pages.
const LISTENING: &str = "Listening on ";

#[tokio::test]
async fn help() {
    let (ok, help, _) = output(&["--help"], &HashMap::new()).await;
    assert!(ok);
    expect![[r#"
        Users pages that read from the Postgres replica nearest to this instance, and write to the primary

        Usage: archipelago [COMMAND]

        Commands:
          serve    Serve the pages (the default)
          migrate  Run the pending migrations on the primary
          regions  Print the regions of this build, the database host of each, and which replicas are nearest to each place
          bench    Compare every region's database as seen from this instance: how fast it answers, and how evenly
          lab      Run all regions on this machine; from another terminal, cut their network, stop servers and more
          help     Print this message or the help of the given subcommand(s)

        Options:
          -h, --help     Print help
          -V, --version  Print version

        Settings come from the environment:
          DATABASE_URL           the primary; without it, `serve` and `bench` start PostgreSQL under .lab/
          DATABASE_URL_<REGION>  one region's database, instead of the host derived from DATABASE_URL
          FLY_REGION             the region of this instance; without it, the primary serves the reads
                                 (with PostgreSQL under .lab/: the first replica's region)
          PRIMARY_REGION         must be the primary of regions.toml
          POOL_SIZE              connections to each region, 1 to 1000
          HOST, PORT             where to listen: 127.0.0.1 (on Fly ::) and 8080
          METRICS_PORT           the port of /metrics: 9091
          SECRET_KEY             64 hex digits that sign the cookies; required on Fly
          RUST_LOG               what to log: info,actix_server=warn
    "#]]
    .assert_eq(&help);
}

#[track_caller]
fn assert_refused((ok, _, error): (bool, String, String), expected: &Expect) {
    assert!(!ok);
    expected.assert_eq(&error);
}

#[tokio::test]
async fn wrong_settings_stop_the_start_all_at_once() {
    let wrong = vars(&[
        ("DATABASE_URL", "postgres://app:hunter2@db.internal/app?sslmode=perhaps"),
        ("POOL_SIZE", "lots"),
        ("PORT", "eighty"),
        ("SECRET_KEY", "hunter3"),
        ("PRIMARY_REGION", "mars"),
    ]);
    let refused = output(&["serve"], &wrong).await;
    assert!(!refused.2.contains("hunter"), "no secret is shown");
    let primary = format!("`{}`", super::site::primary());
    assert_refused(
        (refused.0, refused.1, refused.2.replace(&primary, "`PRIMARY`")),
        &expect![[r#"
        error: the settings are wrong:
          PRIMARY_REGION is `mars`; this program was built with the primary in `PRIMARY`: make `primary` in regions.toml and `primary_region` in fly.toml the same, and build again
          POOL_SIZE is `lots`; write a number of connections from 1 to 1000
          DATABASE_URL has sslmode=perhaps; write disable, prefer, require, verify-ca or verify-full
          PORT is `eighty`; write a port number from 0 to 65535
          SECRET_KEY cannot be used; write 64 hex digits, as `openssl rand -hex 32` prints them
    "#]],
    );
}

#[tokio::test]
async fn on_fly_nothing_is_made_up() {
    let on_fly = vars(&[("FLY_APP_NAME", "users")]);
    let (ok, _, error) = output(&[], &on_fly).await;
    assert!(!ok);
    assert!(error.contains("DATABASE_URL is not set"), "{error}");
    assert!(error.contains("SECRET_KEY is not set"), "{error}");
}

#[tokio::test]
async fn a_database_that_is_not_there() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://app:hunter2@{closed}/app");
    let (ok, _, error) = output(&["migrate"], &vars(&[("DATABASE_URL", &url)])).await;
    assert!(!ok);
    assert!(error.contains("cannot be reached") && error.contains("Connection refused"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn regions_are_printed_with_their_hosts() {
    let fly = vars(&[("DATABASE_URL", "postgres://app@top1.nearest.of.db.internal:5432/app")]);
    let (ok, printed, error) = output(&["regions"], &fly).await;
    assert!(ok, "{error}");
    for info in Repos::REGIONS {
        let line =
            printed.lines().find(|line| line.starts_with(&format!("{} ", info.code))).unwrap();
        let host = match info.role {
            archipelago::Role::Primary => "top1.nearest.of.db.internal  5432".to_owned(),
            archipelago::Role::Replica => format!("{}.db.internal", info.code),
        };
        assert!(line.contains(info.repo) && line.contains(&host), "{line}");
    }
    assert!(printed.contains("NEAREST FIRST"));
    let (ok, printed, error) = output(&["regions"], &HashMap::new()).await;
    assert!(ok && printed.contains("DATABASE_URL is not set"), "{printed}{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_runs_once() {
    let world = shared_world().await;
    world.create_database("migrate").await.unwrap();
    let database = vars(&[("DATABASE_URL", &world.primary().url_of("migrate"))]);
    let (ok, first, error) = output(&["migrate"], &database).await;
    assert!(ok, "{error}");
    assert!(first.starts_with("migrated "), "{first}");
    let (ok, second, _) = output(&["migrate"], &database).await;
    assert!(ok);
    assert_eq!(second, "nothing to migrate\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_in_order() {
    let vars = environment(shared_world().await, "signals").await;
    for signal in ["TERM", "INT"] {
        let mut serving = Serving::start(&[], &vars, LISTENING).await;
        assert_eq!(Page::of(visitor().get(serving.url("/users"))).await.status, StatusCode::OK);
        serving.signal(signal).await;
        assert!(serving.child.wait().await.unwrap().success(), "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_which_request_failed() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://app:hunter2@{closed}/app");
    // Not on Fly, a start would migrate at the primary.
    let mut vars = vars(&[
        ("FLY_APP_NAME", "islands"),
        ("SECRET_KEY", &"5a".repeat(32)),
        ("HOST", "127.0.0.1"),
    ]);
    vars.extend(
        Repos::REGIONS.iter().map(|info| (archipelago::override_variable(info.code), url.clone())),
    );
    for (name, value) in [
        ("RUST_LOG", "error"),
        ("FLY_REGION", first_replica()),
        ("PORT", "0"),
        ("METRICS_PORT", "0"),
    ] {
        vars.insert(name.to_owned(), value.to_owned());
    }
    let mut serving = Serving::start(&[], &vars, LISTENING).await;
    let mut log = BufReader::new(serving.child.stderr.take().unwrap()).lines();
    assert_eq!(
        Page::of(visitor().get(serving.url("/users/7?x=1"))).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let line = tokio::time::timeout(DEADLINE, log.next_line()).await.unwrap().unwrap().unwrap();
    assert!(
        line.contains("request{method=GET url=/users/7?x=1}") && line.contains("a request failed"),
        "{line}"
    );
    assert!(line.contains("Connection refused") && !line.contains("hunter2"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named() {
    let vars = environment(shared_world().await, "ports").await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for variable in ["PORT", "METRICS_PORT"] {
        let mut vars = vars.clone();
        vars.insert(variable.to_owned(), taken.local_addr().unwrap().port().to_string());
        let (ok, _, error) = output(&[], &vars).await;
        assert!(!ok);
        assert!(error.contains(&format!("set {variable} to a port that is free")), "{error}");
    }
}

/// `cargo run` on a machine where nobody said where a database is: servers of its own, which keep their data.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_it_starts_its_own() {
    let clone = tempfile::tempdir().unwrap();
    let vars = vars(&[
        ("CARGO_MANIFEST_DIR", clone.path().to_str().unwrap()),
        ("PORT", "0"),
        ("METRICS_PORT", "0"),
    ]);
    let local = format!("{}; role=replica; reason=local", first_replica());

    let mut serving = Serving::start(&[], &vars, LISTENING).await;
    let browser = visitor();
    let list = until(|| browser.get(serving.url("/users")), |page| page.served_by() == local).await;
    list.assert_shows("Ada Lovelace");
    let form = [("user[name]", "Linus"), ("user[age]", "50")];
    until(
        || browser.post(serving.url("/users")).form(&form),
        |page| page.status == StatusCode::SEE_OTHER,
    )
    .await;
    serving.signal("INT").await;
    assert!(serving.child.wait().await.unwrap().success());

    let mut serving = Serving::start(&[], &vars, LISTENING).await;
    let list =
        until(|| browser.get(serving.url("/users")), |page| page.status == StatusCode::OK).await;
    list.assert_shows("Linus");
    assert_eq!(
        list.body.matches("<bdi>Ada Lovelace</bdi>").count(),
        2,
        "seeded once: in the row and in its question"
    );
    serving.signal("INT").await;
    assert!(serving.child.wait().await.unwrap().success());
}

/// A wrong setting is said before any server is started, and costs nothing later.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_leaves_no_trace() {
    let clone = tempfile::tempdir().unwrap();
    let wrong = vars(&[("CARGO_MANIFEST_DIR", clone.path().to_str().unwrap()), ("PORT", "eighty")]);
    let (ok, said, error) = output(&[], &wrong).await;
    assert!(!ok && error.contains("PORT is `eighty`"), "{error}");
    assert_eq!(said, "", "nothing was started");
    assert!(!clone.path().join(".lab").exists());
}

/// A pipe that nobody reads any more is no reason to cut requests off.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_in_order_when_nobody_listens_to_it() {
    let Serving { mut child, address, lines } =
        Serving::start(&[], &environment(shared_world().await, "pipe").await, LISTENING).await;
    drop(lines);
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    assert!(child.wait().await.unwrap().success(), "{address}");
}

/// Waits until a session of `database` waits for a lock.
pub async fn until_somebody_waits_for_a_lock(connection: &mut AsyncPgConnection, database: &str) {
    #[derive(QueryableByName)]
    struct Waiting {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let query = "SELECT count(*) AS count FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = ";
    let waiting = async {
        let mut looks = interval(BETWEEN_LOOKS);
        loop {
            looks.tick().await;
            let found: Waiting = diesel::sql_query(format!("{query}'{database}'"))
                .get_result(connection)
                .await
                .unwrap();
            if found.count > 0 {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.expect("nobody waits for a lock");
}

/// Waits until nobody listens at `address`.
pub async fn until_refused(address: SocketAddr) {
    let refused = async {
        let mut looks = interval(BETWEEN_LOOKS);
        while TcpStream::connect(address).await.is_ok() {
            looks.tick().await;
        }
    };
    tokio::time::timeout(DEADLINE, refused).await.expect("somebody still listens");
}
