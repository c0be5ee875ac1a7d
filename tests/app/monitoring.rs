//! What operators watch: the metrics of the program, and what docs/operating.md says of them.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use archipelago_lab::World;
use reqwest::{Client, RequestBuilder, StatusCode};

use super::process::Serving;
use super::program::LISTENING;
use super::prometheus::promtool;
use super::site::{PRIMARY, Page, REPLICAS, environment, until, visitor};

/// The program as a process: its recorder is its own.
pub struct Instance {
    serving: Serving,
    browser: Client,
    pub metrics_port: u16,
}

impl Instance {
    pub async fn start(mut vars: HashMap<String, String>) -> Self {
        let metrics_port = free_port();
        vars.insert("METRICS_PORT".to_owned(), metrics_port.to_string());
        let serving = Serving::start(&[], &vars, LISTENING).await;
        Self { serving, browser: visitor(), metrics_port }
    }

    pub async fn get(&self, path: &str) -> Page {
        Page::of(self.browser.get(self.serving.url(path))).await
    }

    /// Sends the form of a new user until it is saved.
    pub async fn create_user(&self) {
        until(|| self.form(), |page| page.status == StatusCode::SEE_OTHER).await;
    }

    /// Sends the form of a new user once.
    pub async fn try_to_create_user(&self) {
        Page::of(self.form()).await;
    }

    fn form(&self) -> RequestBuilder {
        let form = [("user[name]", "Ada"), ("user[age]", "36")];
        self.browser.post(self.serving.url("/users")).form(&form)
    }

    /// The page that Prometheus reads.
    pub async fn metrics(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.metrics_port);
        Page::of(self.browser.get(url)).await.body
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A file of the repository.
pub fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The names of the metrics on a page for Prometheus.
pub fn names(page: &str) -> BTreeSet<&str> {
    page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn the_docs_list_every_metric_and_no_other(world: World) {
    let instance = Instance::start(environment(&world).await).await;
    instance.create_user().await;
    assert_eq!(instance.get("/users").await.status, StatusCode::OK);
    let docs = text("docs/operating.md");
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let is_metric = |name: &&str| name.starts_with("archipelago_") || name.starts_with("http_");
    let listed: BTreeSet<_> = rows.filter(is_metric).collect();
    let page = instance.metrics().await;
    let shown = names(&page);
    let missing: Vec<_> = shown.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&shown).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "docs/operating.md lacks {missing:?}, and lists {gone:?}, which the program does not show"
    );
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn promtool_finds_nothing_wrong_with_the_metrics(world: World) {
    let instance = Instance::start(environment(&world).await).await;
    instance.create_user().await;
    assert_eq!(instance.get("/users").await.status, StatusCode::OK);
    let page = instance.metrics().await;
    let Some(checked) = promtool(&["check", "metrics"], &page) else { return };
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.is_empty(), "{said}");
}
