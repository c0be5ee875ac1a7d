//! `archipelago lab`: the world on this machine, as somebody meets it with a browser and another terminal.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use tempfile::TempDir;

use super::process::{Serving, output, vars};
use super::site::{Page, first_replica, primary, visitor};

/// Long against everything else that a request costs, so that crossings can be counted.
const CROSSING: Duration = Duration::from_secs(1);

/// `lab up` in a folder of its own.
struct Up {
    serving: Serving,
    clone: TempDir,
}

impl Up {
    async fn start() -> Self {
        let clone = tempfile::tempdir().unwrap();
        let line = format!("{}:{}={}ms", primary(), first_replica(), CROSSING.as_millis());
        let serving = Serving::start(&["lab", "up", "--line", &line], &variables(&clone), "Open ").await;
        Self { serving, clone }
    }

    /// What another terminal says to it.
    async fn told(&self, arguments: &[&str]) -> String {
        let (ok, said, error) = output(&[&["lab"], arguments].concat(), &variables(&self.clone)).await;
        assert!(ok, "{arguments:?}: {error}");
        said
    }

    /// A browser of somebody who stands there.
    async fn standing_in(&self, place: &str) -> Client {
        let browser = visitor();
        let page = Page::of(browser.get(self.serving.url(&format!("/users?from={place}")))).await;
        assert_eq!((page.status, page.header("location").as_deref()), (StatusCode::SEE_OTHER, Some("/users")));
        browser
    }

    async fn end(mut self) {
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

    // Somebody new is asked where they stand.
    let question = Page::of(visitor().get(up.serving.url("/")).header("accept", "text/html")).await;
    question.assert_shows("Where on Earth do you stand?");
    question.assert_shows(&format!("from={far}"));

    // Reads are served there, and do not cross.
    let browser = up.standing_in(far).await;
    let since = Instant::now();
    let list = Page::of(browser.get(up.serving.url("/users"))).await;
    assert_eq!((list.status, list.served_by()), (StatusCode::OK, format!("{far}; role=replica; reason=local")));
    list.assert_shows("Ada Lovelace");
    assert!(since.elapsed() < CROSSING, "a read took {:?}", since.elapsed());

    // A write is replayed at the primary, and takes one crossing.
    let since = Instant::now();
    let created = Page::of(browser.post(up.serving.url("/users")).form(&form("Grace from afar"))).await;
    let took = since.elapsed();
    assert_eq!(created.status, StatusCode::SEE_OTHER, "{}", created.body);
    assert!(created.header("x-edge").unwrap().contains(&format!("replayed={home}")), "{:?}", created.headers);
    assert!((CROSSING..CROSSING * 2).contains(&took), "a write took {took:?}");

    // What was written is read, wherever that may be.
    let page = Page::of(browser.get(up.serving.url(&created.header("location").unwrap()))).await;
    page.assert_shows("Grace from afar");

    // Cut off from the primary, reads go on and writes do not.
    up.told(&["cut", home, far]).await;
    let list = Page::of(browser.get(up.serving.url("/users"))).await;
    assert_eq!((list.status, list.served_by()), (StatusCode::OK, format!("{far}; role=replica; reason=local")));
    let refused = Page::of(browser.post(up.serving.url("/users")).form(&form("Nobody"))).await;
    assert!(refused.status.is_server_error(), "{}", refused.status);
    up.told(&["heal", home, far]).await;
    let created = Page::of(browser.post(up.serving.url("/users")).form(&form("Healed"))).await;
    assert_eq!(created.status, StatusCode::SEE_OTHER, "{}", created.body);
    up.end().await;
}
