//! For operators: health checks, metrics, security headers, and a shutdown that loses no request.

use std::net::SocketAddr;
use std::time::Duration;

use archipelago_app::repos::Repos;
use archipelago_lab::{World, eventually};
use diesel::dsl::sql;
use diesel::sql_types::BigInt;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::site::{
    DEADLINE, PRIMARY, Page, REPLICAS, Site, environment, first_replica, primary, settings, until,
    visitor,
};

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn health_checks_and_security_headers_are_there(world: World) {
    let site = Site::new(&world).await;
    assert_eq!(site.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(site.get("/readyz").await.status, StatusCode::OK);
    for path in ["/", "/users", "/static/style.css", "/nowhere"] {
        let page = site.get(path).await;
        assert!(
            page.header("content-security-policy").unwrap().starts_with("default-src 'none'"),
            "{path}"
        );
        assert_eq!(page.header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
    }
    assert_eq!(site.get("/users").await.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(
        site.get("/static/favicon.svg").await.header("content-type").as_deref(),
        Some("image/svg+xml")
    );
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn metrics_have_a_port_of_their_own(world: World) {
    archipelago_app::metrics::install_recorder().unwrap();
    let site = Site::new(&world).await;
    site.get("/users").await;
    Page::of(site.browser.delete(site.url("/users/1")).header("fly-region", "here")).await;
    Page::of(site.browser.request("BREW".parse().unwrap(), site.url("/users"))).await;
    assert_eq!(site.get("/metrics").await.status, StatusCode::NOT_FOUND, "metrics are not public");
    let scrape = || visitor().get(format!("http://{}/metrics", site.running.metrics_address));
    let of = |page: &Page, figure: &str, region: &str| {
        let (_, behind) = page
            .body
            .split_once(&format!(r#"archipelago_region_{figure}{{region="{region}"}} "#))?;
        behind.lines().next()?.parse::<f64>().ok()
    };
    // Once the monitor has probed both.
    let metrics = until(scrape, |page| {
        let near = ["up", "is_primary"].map(|figure| of(page, figure, first_replica()));
        let home = ["up", "is_primary", "lag_seconds"].map(|figure| of(page, figure, primary()));
        let lag = of(page, "lag_seconds", first_replica());
        near == [Some(1.0), Some(0.0)]
            && home == [Some(1.0), Some(1.0), Some(0.0)]
            && lag.is_some_and(f64::is_finite)
    })
    .await;
    let served =
        format!(r#"archipelago_reads_total{{region="{}",reason="local"}} "#, first_replica());
    metrics.assert_shows(&served);
    metrics.assert_hides(&format!("{served}0"));
    metrics.assert_shows(r#"route="/users""#);
    metrics.assert_shows(r#"http_request_seconds_bucket{method="GET","#);
    metrics.assert_shows(r#"method="other""#);
    metrics.assert_shows(r#"method="DELETE",route="/users/{id}",status="replay""#);
    metrics.assert_hides(r#"status="409""#);
    metrics.assert_hides("BREW");
    for info in Repos::REGIONS {
        metrics.assert_shows(&format!(
            r#"archipelago_pool_size{{region="{}",access="read"}} 4"#,
            info.code
        ));
    }
    let pages =
        Page::of(visitor().get(format!("http://{}/users", site.running.metrics_address))).await;
    assert_eq!(pages.status, StatusCode::NOT_FOUND, "the port has nothing but metrics");
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_shutdown_finishes_the_requests_in_flight(world: World) {
    let vars = environment(&world).await;
    let site = Site::of(&vars);
    let mut admin =
        archipelago::connect(settings(&vars).databases.url(primary()).unwrap()).await.unwrap();
    admin.batch_execute("BEGIN; LOCK TABLE users").await.unwrap();
    let create =
        site.browser.post(site.url("/users")).form(&[("user[name]", "Ada"), ("user[age]", "36")]);
    let create = tokio::spawn(Page::of(create));
    let mut watcher =
        archipelago::connect(settings(&vars).databases.url(primary()).unwrap()).await.unwrap();
    let waiting = "(SELECT count(*) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database())";
    eventually("the request waits for the lock", DEADLINE, async || {
        diesel::select(sql::<BigInt>(waiting)).get_result::<i64>(&mut watcher).await.unwrap() > 0
    })
    .await;

    let address = site.running.address;
    let stop = tokio::spawn(site.running.stop());
    let is_refused = async || TcpStream::connect(address).await.is_err();
    eventually("the port is closed", DEADLINE, is_refused).await;
    admin.batch_execute("COMMIT").await.unwrap();
    assert_eq!(
        create.await.unwrap().status,
        StatusCode::SEE_OTHER,
        "the request in flight was finished"
    );
    stop.await.unwrap();
}

/// A visitor who sends a form's head, and not its body.
async fn unfinished_post(address: SocketAddr) -> TcpStream {
    let mut visitor = TcpStream::connect(address).await.unwrap();
    let head = "POST /users HTTP/1.1\r\nhost: x\r\ncontent-length: 30\r\n\
                content-type: application/x-www-form-urlencoded\r\n\r\nuser";
    visitor.write_all(head.as_bytes()).await.unwrap();
    visitor
}

/// What the server sends until it closes the connection.
async fn rest(mut visitor: TcpStream) -> String {
    let mut text = String::new();
    visitor.read_to_string(&mut text).await.unwrap();
    text
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_body_that_does_not_come_is_not_waited_for(world: World) {
    let site = Site::of(&environment(&world).await);
    let visitor = unfinished_post(site.running.address).await;
    let answer = timeout(DEADLINE, rest(visitor)).await.expect("the connection is closed");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("Too slow"), "{answer}");
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn an_instance_that_stops_closes_kept_connections_with_an_answer(world: World) {
    let site = Site::of(&environment(&world).await);
    let request = b"GET /static/style.css HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut busy = TcpStream::connect(site.running.address).await.unwrap();
    let mut idle = TcpStream::connect(site.running.address).await.unwrap();
    for kept in [&mut busy, &mut idle] {
        kept.write_all(request).await.unwrap();
        let mut start = [0; 12];
        kept.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
    }
    site.running.drain(Duration::ZERO).await;
    busy.write_all(request).await.unwrap();
    let answers = timeout(DEADLINE, rest(busy)).await.expect("it is closed after the answer");
    assert!(answers.contains("connection: close"), "{answers}");
    site.running.stop().await;
    let answer = timeout(DEADLINE, rest(idle)).await.expect("it is closed");
    assert!(!answer.contains("connection: close"), "it had no answer since");
}
