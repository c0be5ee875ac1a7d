//! `archipelago lab`: the world on one machine, used by a browser and from another terminal.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use archipelago_app::repos::Repos;
use reqwest::{Client, RequestBuilder, StatusCode};
use tempfile::TempDir;
use tokio::time::timeout;

use super::process::{PATIENCE, Serving, output, vars};
use super::site::{DEADLINE, Page, first_replica, primary, until, visitor};
use super::visitor::Visitor;

/// A round trip between the two regions. It is long against all other work, so that round trips can
/// be counted; a new connection to a database takes seven or eight.
const ROUND_TRIP: Duration = Duration::from_millis(250);

/// `lab up` in a folder of its own.
pub struct Up {
    pub serving: Serving,
    clone: TempDir,
}

impl Up {
    pub async fn start() -> Self {
        let clone = tempfile::tempdir().unwrap();
        let line = format!("{}:{}={}ms", primary(), first_replica(), ROUND_TRIP.as_millis());
        let serving =
            Serving::start(&["lab", "up", "--line", &line], &variables(&clone), "Open ").await;
        Self { serving, clone }
    }

    /// Sends a command from another terminal, and returns its output.
    async fn command(&self, arguments: &[&str]) -> String {
        let (ok, said, error) =
            output(&[&["lab"], arguments].concat(), &variables(&self.clone)).await;
        assert!(ok, "{arguments:?}: {error}");
        said
    }

    /// A browser whose visitor is at this place.
    async fn browser_in(&self, place: &str) -> Client {
        let browser = visitor();
        let page = Page::of(browser.get(self.serving.url(&format!("/users?from={place}")))).await;
        assert_eq!(
            (page.status, page.header("location").as_deref()),
            (StatusCode::SEE_OTHER, Some("/users"))
        );
        browser
    }

    pub async fn end(mut self) {
        self.serving.signal("INT").await;
        assert!(self.serving.child.wait().await.unwrap().success());
    }
}

fn variables(clone: &TempDir) -> HashMap<String, String> {
    vars(&[("CARGO_MANIFEST_DIR", clone.path().to_str().unwrap()), ("PORT", "0")])
}

fn form(name: &str) -> [(&'static str, String); 2] {
    [("user[name]", name.to_owned()), ("user[age]", "36".to_owned())]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_from_afar() {
    let up = Up::start().await;
    let (far, home) = (first_replica(), primary());

    // A new visitor is asked for a place.
    let question = Page::of(visitor().get(up.serving.url("/")).header("accept", "text/html")).await;
    question.assert_shows("Where on Earth do you stand?");
    question.assert_shows(&format!("from={far}"));

    // Reads are served by the region of that place.
    let browser = up.browser_in(far).await;
    let read = || browser.get(up.serving.url("/users"));
    let local = format!("{far}; role=replica; reason=local");
    until(read, |page| page.served_by() == local).await.assert_shows("Ada Lovelace");

    // A write is replayed at the primary.
    let write = |name| browser.post(up.serving.url("/users")).form(&form(name));
    let is_replayed = |page: &Page| {
        page.header("x-edge").is_some_and(|way| way.contains(&format!("replayed={home}")))
    };
    let is_created = |page: &Page| page.status == StatusCode::SEE_OTHER && is_replayed(page);
    let created = until(|| write("Linus from afar"), is_created).await.header("location").unwrap();
    takes_one_round_trip(
        || write("Grace from afar"),
        is_created,
        || read().header("fly-force-region", home),
    )
    .await;

    // Another terminal measures the same world from that place.
    let json = up.clone.path().join("bench.json");
    let bench = [
        "bench",
        "--from",
        far,
        "--time",
        "100ms",
        "--warm-up",
        "0s",
        "--json",
        json.to_str().unwrap(),
    ];
    let measured = timeout(PATIENCE, async {
        loop {
            let (ok, said, error) = output(&bench, &variables(&up.clone)).await;
            assert!(said.contains("under .lab/ already"), "{said}{error}");
            if ok {
                return serde_json::from_slice::<serde_json::Value>(&std::fs::read(&json).unwrap())
                    .unwrap();
            }
        }
    });
    let measured = measured.await.expect("every region is measured");
    let row =
        measured["regions"].as_array().unwrap().iter().find(|row| row["region"] == home).unwrap();
    let median = Duration::from_secs_f64(row["median_ms"].as_f64().unwrap() / 1000.0);
    assert_eq!(
        (&measured["from"], &measured["regions"][0]["region"]),
        (&far.into(), &far.into()),
        "the nearest first"
    );
    assert!(median >= ROUND_TRIP, "{measured}");

    a_visitor_chooses_a_place(&up, far).await;

    // The user is shown, whichever region serves the page.
    let shown = || browser.get(up.serving.url(&created));
    until(shown, |page| page.status == StatusCode::OK).await.assert_shows("Linus from afar");

    // Cut off from the primary, reads go on and writes fail.
    up.command(&["cut", home, far]).await;
    let served = until(read, |page| page.status == StatusCode::OK).await.served_by();
    assert!(served.contains("role=replica"), "{served}");
    let refused = Page::of(write("Mallory")).await;
    assert!(refused.status.is_server_error(), "{}", refused.status);
    up.command(&["heal", home, far]).await;
    until(|| write("Healed"), |page| page.status == StatusCode::SEE_OTHER).await;
    up.end().await;
}

/// Compares the time of a write with that of a read at the primary, which takes one round trip. A
/// busy machine sometimes lengthens either, but a further round trip would lengthen every write.
async fn takes_one_round_trip(
    write: impl Fn() -> RequestBuilder,
    is_created: impl Fn(&Page) -> bool,
    read: impl Fn() -> RequestBuilder,
) {
    let (mut writing, mut reading) = (DEADLINE, DEADLINE);
    let comparing = async {
        while writing >= reading + ROUND_TRIP / 2 || reading == DEADLINE {
            let start = Instant::now();
            if is_created(&Page::of(write()).await) {
                writing = writing.min(start.elapsed());
            }
            let start = Instant::now();
            let page = Page::of(read()).await;
            if page.status == StatusCode::OK && page.served_by().starts_with(primary()) {
                reading = reading.min(start.elapsed());
            }
        }
    };
    let outcome = timeout(DEADLINE, comparing).await;
    assert!(outcome.is_ok(), "a write takes {writing:?}, a read at the primary {reading:?}");
    assert!(writing >= ROUND_TRIP && reading >= ROUND_TRIP, "{writing:?}, {reading:?}");
}

async fn a_visitor_chooses_a_place(up: &Up, far: &str) {
    let Some(mut visitor) = Visitor::of(up.serving.url("")).await else { return };
    visitor.goto("/users/new").await;
    visitor.reads("Where on Earth do you stand?").await;
    let info = Repos::REGIONS.iter().find(|info| info.code == far).unwrap();
    visitor.click("link", info.place.unwrap_or(far)).await;
    // The choice leads back to the page that was asked for.
    visitor.click("textbox", "Name").await;
    visitor.types("Ada by hand").await;
    visitor.click("spinbutton", "Age").await;
    visitor.types("36").await;
    visitor.click("button", "Create user").await;
    visitor.reads("User created successfully.").await;
    visitor.reads("Ada by hand").await;
    visitor.goto("/users").await;
    visitor.reads(&format!("This instance runs in {far}.")).await;
    visitor.goto("/_edge").await;
    visitor.reads("POST /users").await;
    visitor.assert_no_errors_but(&[]).await;
    visitor.leave().await;
}

#[tokio::test]
async fn without_a_running_lab_commands_fail() {
    let clone = tempfile::tempdir().unwrap();
    for arguments in [["lab", "status"].as_slice(), &["lab", "freeze", primary()], &["lab", "urls"]]
    {
        let (ok, _, error) = output(arguments, &variables(&clone)).await;
        assert!(!ok && error.contains("no lab is running in"), "{arguments:?}: {error}");
    }
}

#[tokio::test]
async fn a_wrong_distance_starts_no_server() {
    let clone = tempfile::tempdir().unwrap();
    let lines = clone.path().join("lines.toml");
    std::fs::write(&lines, "nrt = { atlantis = \"1s\" }\n").unwrap();
    let file = lines.to_str().unwrap();
    for (arguments, complaint) in [
        (["--line", "nrt-syd=1s"], "write two places and a time, such as nrt:syd=137ms"),
        (["--line", "nrt:atlantis=1s"], "`atlantis` is no place that regions.toml or Fly knows"),
        (["--line", "nrt:syd=soon"], "expected number"),
        (["--distances", file], "lines.toml:1: "),
    ] {
        let (ok, said, error) =
            output(&[&["lab", "up"], arguments.as_slice()].concat(), &variables(&clone)).await;
        assert!(!ok && error.contains(complaint), "{arguments:?}: {error}");
        assert_eq!(said, "", "nothing was started");
    }
    assert!(!clone.path().join(".lab").exists());
}

#[tokio::test]
async fn a_taken_port_starts_no_server() {
    let clone = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut vars = variables(&clone);
    vars.insert("PORT".to_owned(), taken.local_addr().unwrap().port().to_string());
    let (ok, said, error) = output(&["lab", "up"], &vars).await;
    assert!(!ok && error.contains("set PORT to a port that is free"), "{error}");
    assert_eq!(said, "");
    assert!(!clone.path().join(".lab").exists());
}
