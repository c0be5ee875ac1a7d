//! `archipelago bench`, started as a person starts it, against real replicas.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use archipelago::Role;
use archipelago_app::repos::Repos;
use archipelago_lab::{World, eventually};
use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use expect_test::expect;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use super::process::{output, program, vars};
use super::site::{DEADLINE, PRIMARY, REPLICAS, environment, first_replica, primary, settings};

/// Short, and long enough for some iterations on any machine.
const SHORT: [&str; 4] =
    ["--time=300ms", "--warm-up=100ms", "--json=bench.json", "--svg=bench.svg"];

struct Bench {
    vars: HashMap<String, String>,
    /// Where the files are written.
    folder: TempDir,
}

impl Bench {
    /// A database with one user, seen from the first replica's region.
    async fn new(world: &World) -> Self {
        let bench = Self { vars: environment(world).await, folder: tempfile::tempdir().unwrap() };
        bench.sql("INSERT INTO users (name, age) VALUES ('Ada', 36)").await;
        world.catch_up().await.unwrap();
        bench
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(&[&["bench"], arguments].concat(), &self.vars);
        command.current_dir(self.folder.path());
        command
    }

    async fn run(&self, arguments: &[&str]) -> (bool, String, String) {
        let output = self.command(&[&SHORT, arguments].concat()).output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    fn json(&self) -> Value {
        json(self.folder.path())
    }

    async fn connect(&self) -> AsyncPgConnection {
        archipelago::connect(settings(&self.vars).databases.url(primary()).unwrap()).await.unwrap()
    }

    async fn sql(&self, statement: &str) {
        diesel::sql_query(statement).execute(&mut self.connect().await).await.unwrap();
    }

    /// The one number that `query` calls `number`.
    async fn number(&self, query: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            number: i64,
        }
        diesel::sql_query(query).get_result::<Row>(&mut self.connect().await).await.unwrap().number
    }
}

fn json(folder: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("bench.json")).unwrap()).unwrap()
}

/// The regions of the document, in its order.
fn regions(document: &Value) -> &Vec<Value> {
    document["regions"].as_array().unwrap()
}

fn codes(document: &Value) -> Vec<&str> {
    regions(document).iter().map(|region| region["region"].as_str().unwrap()).collect()
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn the_options() {
    let (ok, help, _) = output(&["bench", "-h"], &HashMap::new()).await;
    assert!(ok);
    expect![[r#"
        Compare every region's database as seen from this instance: how fast it answers, and how evenly

        Usage: archipelago bench [OPTIONS]

        Options:
              --query <QUERY>       The query to send to each database. Only `write` changes data [default: index] [possible values: index, show, write]
              --from <REGION>       The region from which the databases are seen [default: `FLY_REGION`, or the primary's]
              --time <DURATION>     How long to measure each region [default: 5s]
              --warm-up <DURATION>  How long to query each region before that, so that connections are open [default: 2s]
              --parallel <LOOPS>    How many loops query at the same time [default: 1]
              --rate <PER_SECOND>   Iterations per second of all loops together; by default each loop queries back to back
              --json <FILE>         Also write the figures to FILE as JSON
              --svg <FILE>          Also draw the distributions to FILE as a chart
          -h, --help                Print help (see more with '--help')

        A duration is written as 5s, 500ms or 1m 30s. Ctrl-C ends the benchmark and prints what was measured so far.
        The exit status is 1 when a region has no figures or the benchmark was interrupted.
    "#]].assert_eq(&help);
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn every_region_is_compared(world: World) {
    let bench = Bench::new(&world).await;
    for query in ["index", "show"] {
        let (ok, printed, error) = bench.run(&["--query", query]).await;
        assert!(ok, "{error}");
        assert_eq!(error, "", "no progress where there is no terminal");

        let document = bench.json();
        assert_eq!(keys(&document), ["from", "regions"]);
        assert_eq!(document["from"], first_replica());
        let mut found = codes(&document);
        found.sort_unstable();
        let mut all: Vec<_> = Repos::REGIONS.iter().map(|info| info.code).collect();
        all.sort_unstable();
        assert_eq!(found, all);
        for region in regions(&document) {
            let mut keys = keys(region);
            keys.sort_unstable();
            assert_eq!(
                keys,
                [
                    "average_ms",
                    "deviation_pct",
                    "errors",
                    "ips",
                    "median_ms",
                    "p99_ms",
                    "region",
                    "role",
                    "rows"
                ]
            );
            assert_eq!(
                (&region["rows"], &region["errors"]),
                (&Value::from(1), &Value::from(0)),
                "{query}"
            );
            let figure = |key: &str| region[key].as_f64().unwrap();
            assert!(figure("ips") > 0.0 && figure("median_ms") <= figure("p99_ms"), "{region}");
            assert!(
                printed
                    .lines()
                    .any(|line| line
                        .starts_with(&format!("{} ", region["region"].as_str().unwrap()))),
                "{printed}"
            );
        }
        let averages: Vec<_> = regions(&document)
            .iter()
            .map(|region| region["average_ms"].as_f64().unwrap())
            .collect();
        assert!(averages.is_sorted(), "the fastest first: {averages:?}");

        assert!(printed.starts_with(&format!("{query}: the first ")), "{printed}");
        assert!(
            printed.contains("SELECT \"users\".\"id\"") && printed.contains("x slower"),
            "{printed}"
        );
        let picture = std::fs::read_to_string(bench.folder.path().join("bench.svg")).unwrap();
        let picture = roxmltree::Document::parse(&picture).unwrap();
        let text = picture.descendants().filter_map(|node| node.text()).collect::<String>();
        assert!(all.iter().all(|region| text.contains(region)), "{text}");
    }
    assert_eq!(
        bench.number("SELECT last_value AS number FROM users_id_seq").await,
        1,
        "nothing was written"
    );
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn more_loops_than_the_pool_has_get_connections_of_their_own(world: World) {
    let bench = Bench::new(&world).await;
    let (ok, printed, error) = bench.run(&["--parallel=6", "--rate=100"]).await;
    assert!(ok, "{error}");
    assert!(printed.contains("100 iterations per second by 6 loops in parallel"), "{printed}");
    assert!(printed.contains("Up to 6 connections to each."), "POOL_SIZE is 4: {printed}");
    for region in regions(&bench.json()) {
        assert_eq!(region["errors"], 0);
        assert!(region["ips"].as_f64().unwrap() <= 105.0, "{region}");
    }
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_write_leaves_nothing_behind(world: World) {
    let bench = Bench::new(&world).await;
    // What a run has left that was killed.
    bench.sql("INSERT INTO users (name, age) VALUES ('archipelago bench, to be deleted', 0)").await;
    let (ok, printed, error) = bench.run(&["--query=write", "--parallel=3"]).await;
    assert!(ok, "{error}");
    assert!(printed.contains("a replica takes no writes"), "{printed}");
    let document = bench.json();
    assert_eq!(codes(&document), [primary()]);
    assert_eq!(
        (&regions(&document)[0]["rows"], &regions(&document)[0]["errors"]),
        (&Value::from(1), &Value::from(0))
    );
    assert!(
        bench.number("SELECT last_value AS number FROM users_id_seq").await > 2,
        "it did write"
    );
    assert_eq!(
        bench.number("SELECT count(*) AS number FROM users").await,
        1,
        "Ada is still there, and nobody else"
    );
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn an_interrupt_shows_what_there_is_and_cleans_up(world: World) {
    let bench = Bench::new(&world).await;
    let child = bench
        .command(&["--query=write", "--time=1h", "--warm-up=0s", "--json=bench.json"])
        .spawn()
        .unwrap();
    eventually("the benchmark writes", DEADLINE, async || {
        bench.number("SELECT last_value AS number FROM users_id_seq").await >= 10
    })
    .await;
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    let ended =
        timeout(DEADLINE, child.wait_with_output()).await.expect("it does not end").unwrap();
    let error = String::from_utf8(ended.stderr).unwrap();
    assert!(!ended.status.success() && error.contains("interrupted"), "{error}");
    assert!(regions(&bench.json())[0]["ips"].as_f64().unwrap() > 0.0, "what was measured is shown");
    assert_eq!(bench.number("SELECT count(*) AS number FROM users").await, 1);
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn a_replica_that_is_down_has_a_row_without_figures(world: World) {
    let bench = Bench::new(&world).await;
    world.server(first_replica()).unwrap().stop().await.unwrap();
    let (ok, printed, error) = bench.run(&["--query=show"]).await;
    assert!(!ok, "a region without figures");
    assert!(error.contains(&format!("nothing was measured for {}", first_replica())), "{error}");
    assert!(printed.contains("Connection refused"), "{printed}");
    let document = bench.json();
    let (down, up) = regions(&document).split_last().unwrap();
    assert_eq!(
        (&down["region"], &down["role"]),
        (&Value::from(first_replica()), &Value::from(Role::Replica.as_str()))
    );
    for figure in ["ips", "average_ms", "deviation_pct", "median_ms", "p99_ms", "rows"] {
        assert_eq!(down[figure], Value::Null, "{figure}");
    }
    assert!(down["errors"].as_u64().unwrap() > 0);
    assert!(up.iter().all(|region| region["errors"] == 0 && region["ips"].is_f64()), "{up:?}");
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn what_cannot_be_is_said_before_anything_is_measured(world: World) {
    let bench = Bench { vars: environment(&world).await, folder: tempfile::tempdir().unwrap() };
    let elsewhere = format!("--from {} cannot be", primary());
    for (arguments, expected) in [
        (vec!["--query=show"], "there is no user to show"),
        (vec!["--svg=nowhere/bench.svg"], "cannot write nowhere/bench.svg: No such file"),
        (vec!["--from", primary()], elsewhere.as_str()),
        (vec!["--time=0s"], "in no time nothing can be measured"),
    ] {
        let ended = bench.command(&arguments).output().await.unwrap();
        let error = String::from_utf8(ended.stderr).unwrap();
        assert!(!ended.status.success() && error.contains(expected), "{error}");
        assert_eq!(ended.stdout, b"", "{arguments:?}");
    }
    assert_eq!(
        std::fs::read_dir(bench.folder.path()).unwrap().count(),
        0,
        "no file is left of an attempt"
    );
}

/// On a machine where nobody said where a database is.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_it_compares_its_own() {
    let clone = tempfile::tempdir().unwrap();
    let vars = vars(&[("CARGO_MANIFEST_DIR", clone.path().to_str().unwrap())]);
    let written = format!("--json={}", clone.path().join("bench.json").display());
    let short = ["bench", "--query=show", "--time=3s", "--warm-up=100ms", &written];

    let (ok, printed, error) = output(&[&short[..], &["--from=atlantis"]].concat(), &vars).await;
    assert!(
        !ok && error.contains("`atlantis` is no region to see the databases from"),
        "{printed}{error}"
    );
    assert!(!clone.path().join(".lab").exists(), "nothing was started");

    let (ok, printed, error) = output(&[&short[..], &["--from", primary()]].concat(), &vars).await;
    assert!(ok, "{printed}{error}");
    let document = json(clone.path());
    assert_eq!(document["from"], primary());
    assert_eq!(regions(&document).len(), Repos::REGIONS.len());
    assert!(regions(&document).iter().all(|region| region["rows"] == 1), "{document}");

    // As far apart as in the world.
    let distances = archipelago_app::local_databases::distances().unwrap();
    let median = |code: &str| {
        let row = regions(&document).iter().find(|region| region["region"] == code).unwrap();
        Duration::from_secs_f64(row["median_ms"].as_f64().unwrap() / 1000.0)
    };
    for code in super::site::regions(Role::Replica) {
        assert!(
            median(code) >= distances.round_trip(primary(), code),
            "{code} is too near: {document}"
        );
        assert!(median(code) > median(primary()), "{code} is nearer than home: {document}");
    }
}
