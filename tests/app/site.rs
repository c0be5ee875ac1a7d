//! The app on a free port in front of the test's database, and the visitor who sends it requests.

use std::collections::HashMap;
use std::env::VarError;
use std::time::Duration;

use archipelago::{Role, override_variable};
use archipelago_app::repos::Repos;
use archipelago_app::server::{self, Running};
use archipelago_app::{migrations, settings::Settings};
use archipelago_lab::{Server, World, eventually};
use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};

/// Long enough for any machine: a test that waits so long has failed.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A limit on replication lag that no replica reaches, for tests of something else.
pub const HOUR: Duration = Duration::from_hours(1);

/// The region of the primary in regions.toml.
pub const PRIMARY: &str = Repos::REGIONS[0].code;

/// The regions of the replicas in regions.toml, in its order.
pub const REPLICAS: &[&str] = &{
    let mut codes = [""; Repos::REGIONS.len() - 1];
    let mut index = 0;
    while index < codes.len() {
        codes[index] = Repos::REGIONS[index + 1].code;
        index += 1;
    }
    codes
};

/// The app and its visitor.
pub struct Site {
    pub running: Running,
    /// Keeps cookies and follows no redirect.
    pub browser: Client,
}

/// The regions of regions.toml with a role, in its order.
pub fn regions(role: Role) -> impl Iterator<Item = &'static str> {
    Repos::REGIONS.iter().filter(move |info| info.role == role).map(|info| info.code)
}

pub fn primary() -> &'static str {
    regions(Role::Primary).next().expect("there is always a primary")
}

pub fn first_replica() -> &'static str {
    regions(Role::Replica).next().expect("these tests need a replica in regions.toml")
}

/// The environment of an instance in the first replica's region, with the app's tables on every
/// server.
pub async fn environment(world: &World) -> HashMap<String, String> {
    let vars = environment_without_tables(world).await;
    migrations::run(settings(&vars).databases.url(primary()).unwrap()).await.unwrap();
    world.catch_up().await.unwrap();
    vars
}

/// The same before any migration has run.
pub async fn environment_without_tables(world: &World) -> HashMap<String, String> {
    let url = |server: &Server| (override_variable(server.region()), server.url());
    let mut vars: HashMap<_, _> = world.servers().map(url).collect();
    for (name, value) in
        [("FLY_REGION", first_replica()), ("PORT", "0"), ("METRICS_PORT", "0"), ("POOL_SIZE", "4")]
    {
        vars.insert(name.to_owned(), value.to_owned());
    }
    world.catch_up().await.unwrap();
    vars
}

pub fn settings(vars: &HashMap<String, String>) -> Settings {
    Settings::from_vars(&|name: &str| vars.get(name).cloned().ok_or(VarError::NotPresent)).unwrap()
}

impl Site {
    /// The app in the first replica's region.
    pub async fn new(world: &World) -> Self {
        Self::of(&environment(world).await)
    }

    pub fn of(vars: &HashMap<String, String>) -> Self {
        Self::with(&settings(vars))
    }

    /// The app with this limit on replication lag.
    pub fn with_max_lag(vars: &HashMap<String, String>, limit: Duration) -> Self {
        let mut settings = settings(vars);
        settings.databases = settings.databases.with_max_lag(limit);
        Self::with(&settings)
    }

    pub fn with(settings: &Settings) -> Self {
        Self { running: server::start(settings).unwrap(), browser: visitor() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address)
    }

    pub async fn get(&self, path: &str) -> Page {
        Page::of(self.browser.get(self.url(path))).await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Page {
        Page::of(self.browser.post(self.url(path)).form(form)).await
    }

    /// Reads a page until it is as wanted; the test fails if a read does.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Page) -> bool) -> Page {
        let read = || self.browser.get(self.url(path));
        until(read, |page| {
            assert_eq!(page.status, StatusCode::OK, "{}", page.body);
            wanted(page)
        })
        .await
    }

    /// Sends a form until it is saved; before that, the app may have no primary to write to.
    pub async fn until_saved(&self, form: &[(&str, &str)]) -> Page {
        let write = || self.browser.post(self.url("/users")).form(form);
        until(write, |page| {
            assert!(
                [StatusCode::SEE_OTHER, StatusCode::SERVICE_UNAVAILABLE].contains(&page.status),
                "{}",
                page.body
            );
            page.status == StatusCode::SEE_OTHER
        })
        .await
    }

    /// Creates a user as the form does, and returns the path of the page that shows it.
    pub async fn create(&self, name: &str, age: &str) -> String {
        let page = self.post("/users", &[("user[name]", name), ("user[age]", age)]).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
        page.header("location").expect("a redirect leads somewhere")
    }
}

/// A visitor with no cookies yet, who follows no redirect.
pub fn visitor() -> Client {
    // The lab's reqwest leaves the choice of a TLS provider to the program.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // After a stall of the machine, a kept connection may close just as the next request is sent.
    let client = Client::builder().pool_max_idle_per_host(0);
    client.cookie_store(true).redirect(redirect::Policy::none()).build().unwrap()
}

/// Repeats a request until its answer is as wanted.
pub async fn until(request: impl Fn() -> RequestBuilder, wanted: impl Fn(&Page) -> bool) -> Page {
    eventually("an answer as wanted", DEADLINE, async || {
        let page = Page::of(request()).await;
        if wanted(&page) { Ok(page) } else { Err(page) }
    })
    .await
}

/// An answer to a request.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Page {
    pub async fn of(request: RequestBuilder) -> Self {
        let response: Response = request.timeout(DEADLINE).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, body: response.text().await.unwrap() }
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    pub fn served_by(&self) -> String {
        self.header("x-served-by").unwrap_or_default()
    }

    #[track_caller]
    pub fn assert_shows(&self, text: &str) {
        assert!(self.body.contains(text), "{text:?} is not on the page:\n{}", self.body);
    }

    #[track_caller]
    pub fn assert_hides(&self, text: &str) {
        assert!(!self.body.contains(text), "{text:?} is on the page:\n{}", self.body);
    }

    /// The target of the link whose text is `text`.
    pub fn link(&self, text: &str) -> Option<String> {
        let before = self
            .body
            .split(&format!(">{text}<"))
            .next()
            .filter(|before| before.len() < self.body.len())?;
        let (_, href) = before.rsplit_once("href=\"")?;
        Some(href.split('"').next()?.replace("&#38;", "&"))
    }
}
