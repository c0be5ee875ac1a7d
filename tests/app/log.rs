//! What the program writes to standard error, for programs that read it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::Value;
use tokio::io::AsyncReadExt;

use super::process::{Serving, output, vars};
use super::program::LISTENING;
use super::site::{Page, first_replica, visitor};

/// The program with a database that refuses connections, so that each page logs a failure.
async fn start_without_database(settings: &[(&str, &str)]) -> Serving {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://app@{closed}/app");
    let mut vars = vars(&[
        ("DATABASE_URL", &url),
        ("FLY_REGION", first_replica()),
        ("PORT", "0"),
        ("METRICS_PORT", "0"),
        ("RUST_LOG", "warn"),
    ]);
    vars.extend(super::process::vars(settings));
    Serving::start(&[], &vars, LISTENING).await
}

/// Ends the program, and returns its log.
async fn log(mut serving: Serving) -> String {
    serving.signal("TERM").await;
    let mut log = String::new();
    serving.child.stderr.take().unwrap().read_to_string(&mut log).await.unwrap();
    log
}

/// Ends the program, and returns each line of its log, as the object that it must be.
async fn objects(serving: Serving) -> Vec<Value> {
    let log = log(serving).await;
    let object =
        |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    log.lines().map(object).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_json_is_an_object_with_its_request() {
    let serving = start_without_database(&[("LOG_FORMAT", "json")]).await;
    let (browser, begun) = (visitor(), Instant::now());
    let url = serving.url(&format!("/users?{}", "x".repeat(60_000)));
    let mut count = 0;
    // For longer than the limit counts: a line then tells how many were left out.
    while begun.elapsed() < Duration::from_millis(2500) {
        futures_util::future::join_all((0..20).map(|_| Page::of(browser.get(&url)))).await;
        count += 20;
    }
    let lines = objects(serving).await;
    let failed: Vec<_> =
        lines.iter().filter(|line| line["fields"]["message"] == "a request failed").collect();
    assert!((10..count).contains(&failed.len()), "{} lines of {count}", failed.len());
    for line in failed {
        assert_eq!((&line["level"], &line["fields"]["status"]), (&"ERROR".into(), &503.into()));
        assert_eq!(line["target"], "archipelago_app::pages::error_pages");
        let request = line["spans"].as_array().unwrap().first().unwrap();
        assert_eq!((&request["name"], &request["method"]), (&"request".into(), &"GET".into()));
        assert_eq!(request["id"].as_str().map(str::len), Some(36));
        let url = request["url"].as_str().unwrap();
        assert!(url.starts_with("/users?x") && url.len() < 300, "{url}");
    }
    let left_out: Vec<_> =
        lines.iter().filter(|line| line["fields"]["left_out"].is_number()).collect();
    assert!(!left_out.is_empty(), "a line tells how many were left out: {lines:?}");
    for line in left_out {
        let count = &line["fields"]["left_out"];
        let message = format!("{count} lines like the next were left out");
        assert_eq!(line["fields"]["message"], message);
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
    }
}

/// With the text format: the other tests read JSON.
#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_a_request_has_the_id_of_its_answer() {
    let serving = start_without_database(&[]).await;
    let browser = visitor();
    let get = |path: &str| browser.get(serving.url(path));
    let requests = [
        get("/users").header("x-request-id", "given.by-a_proxy"),
        get("/users").header("fly-request-id", "01JD-ord").header("x-request-id", "other"),
        get("/users").header("x-request-id", "a b"),
        get("/users"),
    ];
    let mut ids = vec![];
    for request in requests {
        let page = Page::of(request).await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        ids.push(page.header("x-request-id").unwrap());
    }
    assert_eq!(ids[..2], ["given.by-a_proxy", "01JD-ord"]);
    assert_eq!([ids[2].len(), ids[3].len()], [36; 2], "{ids:?}");
    // Answers that no handler gave.
    for path in ["/nowhere", "/users/x", "/static/style.css"] {
        assert_eq!(Page::of(get(path)).await.header("x-request-id").unwrap().len(), 36, "{path}");
    }
    let cross_site = browser.post(serving.url("/users")).header("sec-fetch-site", "cross-site");
    let refused = Page::of(cross_site.header("x-request-id", "refused")).await;
    assert_eq!(refused.header("x-request-id").as_deref(), Some("refused"));

    let log = log(serving).await;
    let failed: Vec<_> = log.lines().filter(|line| line.contains("a request failed")).collect();
    assert_eq!(failed.len(), ids.len(), "{log}");
    for (line, id) in failed.iter().zip(&ids) {
        assert!(line.contains(&format!("request{{id=\"{id}\" method=GET url=/users}}")), "{line}");
    }
}

#[tokio::test]
async fn an_unknown_format_stops_the_start() {
    let vars: HashMap<_, _> =
        vars(&[("DATABASE_URL", "postgres://localhost/app"), ("LOG_FORMAT", "xml")]);
    let (is_ok, _, error) = output(&[], &vars).await;
    assert!(!is_ok && error.contains("LOG_FORMAT is `xml`; write text or json"), "{error}");
}
