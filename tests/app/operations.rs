//! What those see who run the app: health, metrics, a shutdown that loses nothing.

use archipelago_app::repos::Repos;
use diesel_async::SimpleAsyncConnection;
use reqwest::StatusCode;
use tokio::time::timeout;

use super::site::{DEADLINE, Page, Site, environment, first_replica, primary, settings, shared_world, visitor};

#[tokio::test(flavor = "multi_thread")]
async fn health_and_security_headers() {
    let site = Site::new("health").await;
    assert_eq!(site.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(site.get("/readyz").await.status, StatusCode::OK);
    for path in ["/", "/users", "/static/style.css", "/nowhere"] {
        let page = site.get(path).await;
        assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"), "{path}");
        assert_eq!(page.header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
    }
    assert_eq!(site.get("/users").await.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(site.get("/static/favicon.svg").await.header("content-type").as_deref(), Some("image/svg+xml"));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_a_port_of_their_own() {
    archipelago_app::metrics::record().unwrap();
    let site = Site::new("metrics").await;
    site.get("/users").await;
    Page::of(site.browser.delete(site.url("/users/1")).header("fly-region", "here")).await;
    Page::of(site.browser.request("BREW".parse().unwrap(), site.url("/users"))).await;
    assert_eq!(site.get("/metrics").await.status, StatusCode::NOT_FOUND, "not public");
    let scrape = async || Page::of(visitor().get(format!("http://{}/metrics", site.running.metrics_address))).await;
    let looked_at = async { while !scrape().await.body.contains("archipelago_region_lag_seconds{") {} };
    timeout(DEADLINE, looked_at).await.expect("the monitor looks at the nearest replica");
    let metrics = scrape().await;
    metrics.assert_shows("archipelago_requests_total{");
    metrics.assert_shows(r#"route="/users""#);
    metrics.assert_shows(r#"http_request_seconds_bucket{method="GET","#);
    metrics.assert_shows(r#"method="other""#);
    metrics.assert_shows(r#"method="DELETE",route="/users/{id}",status="replay""#);
    metrics.assert_hides(r#"status="409""#);
    metrics.assert_hides("BREW");
    metrics.assert_shows(&format!(r#"archipelago_region_is_primary{{region="{}"}} 1"#, primary()));
    metrics.assert_shows(&format!(r#"archipelago_region_is_primary{{region="{}"}} 0"#, first_replica()));
    metrics.assert_shows(&format!(r#"archipelago_region_up{{region="{}"}} 1"#, first_replica()));
    metrics.assert_shows(&format!(r#"archipelago_region_lag_seconds{{region="{}"}} "#, first_replica()));
    for info in Repos::REGIONS {
        metrics.assert_shows(&format!(r#"archipelago_pool_size{{region="{}",access="read"}} 4"#, info.code));
    }
    let pages = Page::of(visitor().get(format!("http://{}/users", site.running.metrics_address))).await;
    assert_eq!(pages.status, StatusCode::NOT_FOUND, "nothing but metrics");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_finishes_the_requests_in_flight() {
    let vars = environment(shared_world().await, "graceful").await;
    let site = Site::of(&vars);
    let mut admin = settings(&vars).databases.url(primary()).unwrap().connect().await.unwrap();
    admin.batch_execute("BEGIN; LOCK TABLE users").await.unwrap();
    let create = site.browser.post(site.url("/users")).form(&[("user[name]", "Ada"), ("user[age]", "36")]);
    let create = tokio::spawn(Page::of(create));
    let mut watcher = settings(&vars).databases.url(primary()).unwrap().connect().await.unwrap();
    super::program::until_somebody_waits_for_a_lock(&mut watcher, "graceful").await;

    let address = site.running.address;
    let stop = tokio::spawn(site.running.stop());
    super::program::until_refused(address).await;
    admin.batch_execute("COMMIT").await.unwrap();
    assert_eq!(create.await.unwrap().status, StatusCode::SEE_OTHER, "the request in flight was finished");
    stop.await.unwrap();
}
