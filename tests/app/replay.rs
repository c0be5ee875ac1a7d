//! Writes far from the primary: replayed in its region by `fly-replay`, or written directly.

use std::collections::HashMap;

use archipelago_app::schema::users;
use archipelago_app::users::User;
use archipelago_lab::World;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::site::{
    DEADLINE, HOUR, PRIMARY, Page, REPLICAS, Site, environment, first_replica, primary, settings,
    until,
};

const FORM: [(&str, &str); 2] = [("user[name]", "Grace"), ("user[age]", "85")];

/// The id that Fly's proxy gives a request, and each replay of it.
const ID: (&str, &str) = ("fly-request-id", "01JDZ5RM0W-syd");

/// A form as a browser sends it: 0x23 bytes.
const SENT: &str = "user%5Bname%5D=Eve&user%5Bage%5D=85";

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_write_far_from_the_primary_is_replayed_there(world: World) {
    let vars = environment(&world).await;
    let site = Site::of(&vars);
    let shown = site.create("Ada", "36").await;
    let before = all_users(&vars).await;
    let writes = [
        (Method::POST, "/users"),
        (Method::POST, &shown),
        (Method::PUT, &shown),
        (Method::PATCH, &shown),
        (Method::DELETE, &shown),
    ];
    for (method, path) in writes {
        let write =
            site.browser.request(method.clone(), site.url(path)).header("fly-region", "here");
        let page = Page::of(write.form(&FORM)).await;
        assert_replayed(&page);
        assert_eq!(page.served_by(), "", "{method}: no database was asked");
        assert!(
            !page.headers.contains_key("set-cookie"),
            "{method}: the instance that writes sets the cookies"
        );
        page.assert_hides("<html");
    }
    assert_eq!(all_users(&vars).await, before);
    site.get(&shown).await.assert_shows("User created successfully.");
}

/// The test does what Fly's proxy does between the two answers.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS, own_servers)]
async fn a_visitor_far_away_reads_what_was_replayed(world: World) {
    let mut vars = environment(&world).await;
    vars.insert("SECRET_KEY".to_owned(), "5a".repeat(32));
    let far = Site::with_max_lag(&vars, HOUR);
    vars.insert("FLY_REGION".to_owned(), primary().to_owned());
    let home = Site::of(&vars);
    world.server(first_replica()).unwrap().pause_replay().await.unwrap();

    // Cookies do not depend on the port, so one browser visits both instances.
    let write = |site: &Site| {
        let write = far.browser.post(site.url("/users")).header("fly-region", "here");
        write.header(ID.0, ID.1).form(&FORM)
    };
    let replay = Page::of(write(&far)).await;
    assert_replayed(&replay);
    let replayed = || write(&home).header("fly-replay-src", "instance=1;region=here;t=1;state=");
    let page = until(replayed, |page| page.status == StatusCode::SEE_OTHER).await;
    assert_eq!(page.served_by(), format!("{}; role=primary; reason=primary", primary()));
    let ids = [&replay, &page].map(|page| page.header("x-request-id"));
    assert_eq!(ids, [0; 2].map(|_| Some(ID.1.to_owned())), "both instances log one id");

    let shown = page.header("location").unwrap();
    let page = far.get(&shown).await;
    page.assert_shows("<bdi>Grace</bdi>");
    page.assert_shows("User created successfully.");
    // The cookie has carried the position.
    let fresher = format!("{}; role=primary; reason=fresher", primary());
    far.until(&shown, |page| page.served_by() == fresher).await;
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_replay_is_answered_before_the_body_arrives(world: World) {
    let site = Site::new(&world).await;
    let head = format!(
        "fly-region: here\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n",
        SENT.len()
    );
    let withheld = send(&site, &format!("POST /users HTTP/1.1\r\nhost: here\r\n{head}\r\n")).await;
    let unread =
        send(&site, &format!("POST /users HTTP/1.1\r\nhost: here\r\n{head}\r\n{SENT}")).await;
    for answer in [withheld, unread] {
        assert!(answer.starts_with("HTTP/1.1 409 Conflict\r\n"), "{answer}");
        assert!(answer.contains(&format!("\r\nfly-replay: {}\r\n", replay())), "{answer}");
        assert!(answer.ends_with("as fly-replay says"), "the whole answer: {answer}");
    }
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_connection_without_an_unread_body_is_kept_open(world: World) {
    let site = Site::new(&world).await;
    let delete = "DELETE /users/1 HTTP/1.1\r\nhost: here\r\nfly-region: here\r\n";
    let answers = send(&site, &format!("{delete}\r\n{delete}connection: close\r\n\r\n")).await;
    assert_eq!(answers.matches("HTTP/1.1 409 Conflict\r\n").count(), 2, "{answers}");
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_write_that_cannot_be_replayed_is_written_directly(world: World) {
    let vars = environment(&world).await;
    let site = Site::of(&vars);
    let replayed = ("fly-replay-src", "instance=1;region=here;t=1;state=");
    let returned = ("fly-replay-failed", "region=there;reason=no_candidate");
    for headers in [
        vec![],
        vec![replayed],
        vec![("fly-region", "here"), replayed],
        vec![("fly-region", "here"), returned],
    ] {
        let write = site.browser.post(site.url("/users")).form(&FORM);
        let page = Page::of(
            headers.iter().fold(write, |write, (name, value)| write.header(*name, *value)),
        )
        .await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{headers:?}: {}", page.body);
        assert_eq!(page.served_by(), format!("{}; role=primary; reason=primary", primary()));
    }
    assert_eq!(all_users(&vars).await.len(), 4);

    let head = "POST /users HTTP/1.1\r\nhost: here\r\nfly-region: here\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    let chunked = format!(
        "{head}connection: close\r\ntransfer-encoding: chunked\r\n\r\n23\r\n{SENT}\r\n0\r\n\r\n"
    );
    let answer = send(&site, &chunked).await;
    assert!(answer.starts_with("HTTP/1.1 303 See Other\r\n"), "{answer}");
    assert_eq!(all_users(&vars).await.len(), 5);

    let answer = send(&site, &format!("{head}content-length: 1000000\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 409 Conflict\r\n"), "{answer}");
    let answer = send(&site, &format!("{head}content-length: 1000001\r\n\r\n")).await;
    assert!(
        answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"),
        "too large for this app too: {answer}"
    );
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn in_the_primarys_region_or_in_none_nothing_is_replayed(world: World) {
    let mut vars = environment(&world).await;
    for region in [primary(), ""] {
        vars.insert("FLY_REGION".to_owned(), region.to_owned());
        let site = Site::of(&vars);
        let page = Page::of(
            site.browser.post(site.url("/users")).header("fly-region", "here").form(&FORM),
        )
        .await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{region:?}: {}", page.body);
    }
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn reads_and_writes_from_other_sites_are_not_replayed(world: World) {
    let site = Site::new(&world).await;
    let shown = site.create("Ada", "36").await;
    for path in
        ["/", "/users", "/users/new", &shown, &format!("{shown}/edit"), "/regions", "/readyz"]
    {
        let page = Page::of(site.browser.get(site.url(path)).header("fly-region", "here")).await;
        assert_eq!((page.status, page.header("fly-replay")), (StatusCode::OK, None), "{path}");
    }
    let write = site.browser.post(site.url("/users")).header("fly-region", "here").form(&FORM);
    let page = Page::of(write.header("sec-fetch-site", "cross-site")).await;
    assert_eq!((page.status, page.header("fly-replay")), (StatusCode::FORBIDDEN, None));
}

/// The value of `fly-replay` for a write.
fn replay() -> String {
    format!("region={};timeout=5s;fallback=prefer_self", primary())
}

#[track_caller]
fn assert_replayed(page: &Page) {
    assert_eq!(
        (page.status, page.header("fly-replay")),
        (StatusCode::CONFLICT, Some(replay())),
        "{}",
        page.body
    );
}

/// All users, as the primary has them.
async fn all_users(vars: &HashMap<String, String>) -> Vec<User> {
    let mut connection =
        archipelago::connect(settings(vars).databases.url(primary()).unwrap()).await.unwrap();
    users::table.order(users::id).select(User::as_select()).load(&mut connection).await.unwrap()
}

/// Sends these bytes, and returns what the app answers until it closes the connection.
async fn send(site: &Site, request: &str) -> String {
    let mut socket = TcpStream::connect(site.running.address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, socket.read_to_string(&mut answer))
        .await
        .expect("the answer has an end")
        .unwrap();
    answer
}
