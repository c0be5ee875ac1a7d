//! The program as a process: its arguments, settings, start and end.

use std::collections::HashMap;

use archipelago_app::repos::Repos;
use archipelago_lab::World;
use expect_test::{Expect, expect};
use reqwest::StatusCode;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStderr, Command};

use super::process::{Serving, output, program, vars};
use super::site::{DEADLINE, PRIMARY, Page, REPLICAS, environment, first_replica, until, visitor};

/// What the program prints before the address of the pages.
pub const LISTENING: &str = "Listening on ";

#[tokio::test]
async fn help_explains_commands_and_settings() {
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
          doctor   Look at each region from here, and say what is wrong and what to do
          lab      Run all regions on this machine; from another terminal, cut their network, stop servers and more
          help     Print this message or the help of the given subcommand(s)

        Options:
          -h, --help     Print help
          -V, --version  Print version

        Settings come from the environment:
          DATABASE_URL           the primary; without it, `serve` and `bench` start PostgreSQL under .lab/
          DATABASE_URL_<REGION>  one region's database, instead of the host derived from DATABASE_URL
          DATABASE_READ_USER     the role of the sessions for reading, if it is another one; its password is
                                 in DATABASE_READ_PASSWORD
          DATABASE_POOLER        session: PgBouncer in session mode leads to the databases
          FLY_REGION             the region of this instance; without it, the primary serves the reads
                                 (with PostgreSQL under .lab/: the first replica's region)
          PRIMARY_REGION         must be the primary of regions.toml
          POOL_SIZE              connections to each server, 1 to 1000
          HOST, PORT             where to listen: 127.0.0.1 (on Fly ::) and 8080
          METRICS_PORT           the port of /metrics: 9091
          SECRET_KEY             64 hex digits that sign the cookies; required on Fly. May be several,
                                 separated by commas: the first signs, all verify
          CHECK_MIGRATIONS       on: a database that lacks one of the program's migrations serves no
                                 reads; or off
          MONITOR_REST           seconds without a request after which the monitor asks no database;
                                 never where it is unset
          RUST_LOG               what to log: info,actix_server=warn
          LOG_FORMAT             text: lines for people; or json: one object per line
    "#]]
    .assert_eq(&help);
}

#[track_caller]
fn assert_refused((ok, _, error): (bool, String, String), expected: &Expect) {
    assert!(!ok);
    expected.assert_eq(&error);
}

#[tokio::test]
async fn every_wrong_setting_is_reported_at_once() {
    let wrong = vars(&[
        ("DATABASE_URL", "postgres://app:hunter2@db.internal/app?sslmode=perhaps"),
        ("POOL_SIZE", "lots"),
        ("PORT", "eighty"),
        ("SECRET_KEY", "hunter3"),
        ("PRIMARY_REGION", "mars"),
    ]);
    let refused = output(&["serve"], &wrong).await;
    assert!(!refused.2.contains("hunter"), "no secret is printed");
    let primary = format!("`{}`", super::site::primary());
    assert_refused(
        (refused.0, refused.1, refused.2.replace(&primary, "`PRIMARY`")),
        &expect![[r#"
            error: the settings are wrong:
              PRIMARY_REGION is `mars`; this program was built with the primary in `PRIMARY`: make `primary` in regions.toml and `primary_region` in fly.toml the same, and build again
              POOL_SIZE is `lots`; write a number of connections from 1 to 1000
              DATABASE_URL has a wrong `sslmode`; write disable, allow, prefer, require, verify-ca or verify-full
              PORT is `eighty`; write a port number from 0 to 65535
              SECRET_KEY cannot be used; write 64 hex digits, as `openssl rand -hex 32` prints them
        "#]],
    );
}

#[tokio::test]
async fn on_fly_every_required_setting_must_be_set() {
    let on_fly = vars(&[("FLY_APP_NAME", "users")]);
    let (ok, _, error) = output(&[], &on_fly).await;
    assert!(!ok);
    assert!(error.contains("DATABASE_URL is not set"), "{error}");
    assert!(error.contains("SECRET_KEY is not set"), "{error}");
}

#[tokio::test]
async fn migrate_reports_a_database_that_cannot_be_reached() {
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

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn migrate_runs_once(world: World) {
    let database = vars(&[("DATABASE_URL", &world.primary().url())]);
    let (ok, first, error) = output(&["migrate"], &database).await;
    assert!(ok, "{error}");
    assert!(first.starts_with("migrated "), "{first}");
    let (ok, second, _) = output(&["migrate"], &database).await;
    assert!(ok);
    assert_eq!(second, "nothing to migrate\n");
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn an_instance_starts_after_a_promotion_and_while_the_primary_is_down(world: World) {
    let vars = environment(&world).await;
    let starts = async || {
        let mut serving = Serving::start(&[], &vars, LISTENING).await;
        until(|| visitor().get(serving.url("/users")), |page| page.status == StatusCode::OK).await;
        serving.signal("TERM").await;
        assert!(serving.child.wait().await.unwrap().success());
    };
    let old = world.primary();
    world.switch_over(first_replica()).await.unwrap();
    starts().await;
    world.rejoin(old.region()).await.unwrap();
    let (ok, _, error) = output(&["migrate"], &vars).await;
    assert!(!ok && error.contains("is a replica now"), "{error}");
    starts().await;

    let mut wrong = vars.clone();
    wrong.insert(archipelago::override_variable(old.region()), old.url_of("no_such_database"));
    let (ok, _, error) = output(&[], &wrong).await;
    assert!(!ok && error.contains("does not exist"), "{error}");
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_signal_ends_the_program_with_success(world: World) {
    let vars = environment(&world).await;
    for signal in ["TERM", "INT"] {
        let mut serving = Serving::start(&[], &vars, LISTENING).await;
        assert_eq!(Page::of(visitor().get(serving.url("/users"))).await.status, StatusCode::OK);
        serving.signal(signal).await;
        assert!(serving.child.wait().await.unwrap().success(), "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_the_request_that_failed() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://app:hunter2@{closed}/app");
    // On Fly: elsewhere, a start runs the migrations at the primary.
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
    let log = serving.child.stderr.take().unwrap();
    assert_eq!(
        Page::of(visitor().get(serving.url("/users/7?x=1"))).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let line = line_with(log, "a request failed").await;
    assert!(line.contains(" method=GET url=/users/7?x=1}"), "{line}");
    assert!(line.contains("Connection refused") && !line.contains("hunter2"), "{line}");
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn the_log_warns_of_a_pool_that_the_server_refuses(world: World) {
    let mut vars = environment(&world).await;
    vars.insert("POOL_SIZE".to_owned(), "1000".to_owned());
    let mut serving = Serving::start(&[], &vars, LISTENING).await;
    let line = line_with(serving.child.stderr.take().unwrap(), "POOL_SIZE is more than").await;
    assert!(line.contains("pool_size=1000 allowed="), "{line}");
}

/// The first line of a log with these words.
async fn line_with(log: ChildStderr, words: &str) -> String {
    let mut log = BufReader::new(log).lines();
    let line = tokio::time::timeout(DEADLINE, async {
        loop {
            let line = log.next_line().await.unwrap().unwrap();
            if line.contains(words) {
                return line;
            }
        }
    });
    line.await.unwrap()
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn the_error_names_the_variable_of_a_taken_port(world: World) {
    let vars = environment(&world).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for variable in ["PORT", "METRICS_PORT"] {
        let mut vars = vars.clone();
        vars.insert(variable.to_owned(), taken.local_addr().unwrap().port().to_string());
        let (ok, _, error) = output(&[], &vars).await;
        assert!(!ok);
        assert!(error.contains(&format!("set {variable} to a port that is free")), "{error}");
    }
    let mut elsewhere = vars;
    elsewhere.insert("HOST".to_owned(), "192.0.2.1".to_owned());
    let (ok, _, error) = output(&[], &elsewhere).await;
    assert!(!ok && error.contains("set HOST to an address of this machine"), "{error}");
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_log_that_cannot_be_written_costs_no_answer(world: World) {
    let mut vars = environment(&world).await;
    vars.insert("RUST_LOG".to_owned(), "trace".to_owned());
    let mut command = program(&[], &vars);
    command.stderr(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let mut serving = Serving::spawn(command, LISTENING).await;
    let browser = visitor();
    for _ in 0..3 {
        let page = Page::of(browser.get(serving.url("/users"))).await;
        assert_eq!((page.status, page.served_by().is_empty()), (StatusCode::OK, false));
    }
    serving.signal("TERM").await;
    assert!(serving.child.wait().await.unwrap().success());
}

/// `cargo run` without `DATABASE_URL`: it starts servers of its own, which keep their data.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_url_it_starts_servers_of_its_own() {
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
        "seeded once: in the row and in the question before deleting"
    );
    serving.signal("INT").await;
    assert!(serving.child.wait().await.unwrap().success());
}

/// The settings are checked before any server is started.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_starts_no_server() {
    let clone = tempfile::tempdir().unwrap();
    let wrong = vars(&[("CARGO_MANIFEST_DIR", clone.path().to_str().unwrap()), ("PORT", "eighty")]);
    let (ok, said, error) = output(&[], &wrong).await;
    assert!(!ok && error.contains("PORT is `eighty`"), "{error}");
    assert_eq!(said, "", "nothing was started");
    assert!(!clone.path().join(".lab").exists());
}

/// A closed standard output does not keep the program from its ordered end.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_signal_ends_it_when_its_output_is_closed(world: World) {
    let Serving { mut child, address, lines } =
        Serving::start(&[], &environment(&world).await, LISTENING).await;
    drop(lines);
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    assert!(child.wait().await.unwrap().success(), "{address}");
}
