//! The app, started on a free port in front of a database of its own, and a browser's share of HTTP.

use std::collections::HashMap;
use std::env::VarError;
use std::time::Duration;

use archipelago::{Role, override_variable};
use archipelago_app::repos::Repos;
use archipelago_app::server::{self, Running};
use archipelago_app::{migrations, settings::Settings};
use archipelago_lab::World;
use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};
use tokio::sync::OnceCell;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Long enough for any machine; a test that waits so long has failed.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Between two looks at what is waited for.
pub const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// How far a replica may be behind where a test is about something else: further than it ever is.
pub const HOUR: Duration = Duration::from_hours(1);

/// The app and its visitor.
pub struct Site {
    pub running: Running,
    /// Keeps cookies, follows no redirect.
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

/// Servers that no test may break. Each test has a database of its own.
pub async fn shared_world() -> &'static World {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    WORLD.get_or_init(new_world).await
}

/// Servers of a test's own.
pub async fn new_world() -> World {
    World::builder().primary(primary()).replicas(regions(Role::Replica)).start().await.unwrap()
}

/// A new database with the app's tables on every server, and the environment that leads to it from the first replica's region.
pub async fn environment(world: &World, database: &str) -> HashMap<String, String> {
    let vars = environment_without_tables(world, database).await;
    migrations::run(settings(&vars).databases.url(primary()).unwrap()).await.unwrap();
    catch_up(world).await;
    vars
}

/// The same, before any migration has run.
pub async fn environment_without_tables(world: &World, database: &str) -> HashMap<String, String> {
    world.create_database(database).await.unwrap();
    let url = |server: &archipelago_lab::Server| {
        (override_variable(server.region()), server.url_of(database))
    };
    let mut vars: HashMap<_, _> = world.servers().map(url).collect();
    for (name, value) in
        [("FLY_REGION", first_replica()), ("PORT", "0"), ("METRICS_PORT", "0"), ("POOL_SIZE", "4")]
    {
        vars.insert(name.to_owned(), value.to_owned());
    }
    catch_up(world).await;
    vars
}

pub fn settings(vars: &HashMap<String, String>) -> Settings {
    Settings::from_vars(&|name: &str| vars.get(name).cloned().ok_or(VarError::NotPresent)).unwrap()
}

/// Waits until every replica shows what the primary has.
pub async fn catch_up(world: &World) {
    let position = world.primary().position().await.unwrap();
    for replica in world.replicas() {
        replica.wait_until_replayed(position, DEADLINE).await.unwrap();
    }
}

impl Site {
    /// The app in the first replica's region, in front of a new database of the shared servers.
    pub async fn new(database: &str) -> Self {
        Self::of(&environment(shared_world().await, database).await)
    }

    pub fn of(vars: &HashMap<String, String>) -> Self {
        Self::with(&settings(vars))
    }

    /// The app where a replica may be only so far behind.
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

    /// Reads until a page is as it should be. No read may fail meanwhile.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Page) -> bool) -> Page {
        let read = || self.browser.get(self.url(path));
        until(read, |page| {
            assert_eq!(page.status, StatusCode::OK, "{}", page.body);
            wanted(page)
        })
        .await
    }

    /// Sends a form until it is taken. Until then there is no primary to write to.
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

/// Somebody with a browser of their own, who follows no redirect.
pub fn visitor() -> Client {
    // The lab's reqwest leaves the choice of a TLS provider to the program.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A connection that is kept may close just as the next request sets out, on a machine that stood still.
    let client = Client::builder().pool_max_idle_per_host(0);
    client.cookie_store(true).redirect(redirect::Policy::none()).build().unwrap()
}

/// Sends a request again and again, until its answer is as it should be.
pub async fn until(request: impl Fn() -> RequestBuilder, wanted: impl Fn(&Page) -> bool) -> Page {
    let mut last = None;
    let asking = async {
        let mut looks = interval(BETWEEN_LOOKS);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let page = Page::of(request()).await;
            if wanted(&page) {
                return page;
            }
            last = Some(page);
        }
    };
    timeout(DEADLINE, asking).await.unwrap_or_else(|_| panic!("still {last:#?}"))
}

/// An answer.
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
