//! Writes from afar: handed to the primary's region by `fly-replay`, and those that this instance writes itself.

use std::collections::HashMap;

use archipelago_app::schema::users;
use archipelago_app::users::User;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::site::{
    DEADLINE, HOUR, Page, Site, environment, first_replica, new_world, primary, settings,
    shared_world, until,
};

const FORM: [(&str, &str); 2] = [("user[name]", "Grace"), ("user[age]", "85")];

/// The same, as a browser sends it: 0x23 bytes.
const SENT: &str = "user%5Bname%5D=Eve&user%5Bage%5D=85";

#[tokio::test(flavor = "multi_thread")]
async fn a_write_from_afar_is_handed_to_the_primarys_region() {
    let vars = environment(shared_world().await, "replay").await;
    let site = Site::of(&vars);
    let shown = site.create("Ada", "36").await;
    let before = everybody(&vars).await;
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
        assert_handed_on(&page);
        assert_eq!(page.served_by(), "", "{method}: no database was asked");
        assert!(
            !page.headers.contains_key("set-cookie"),
            "{method}: the cookies are the other instance's to give"
        );
        page.assert_hides("<html");
    }
    assert_eq!(everybody(&vars).await, before);
    site.get(&shown).await.assert_shows("User created successfully.");
}

/// What Fly's proxy does between the two answers is done here by hand.
#[tokio::test(flavor = "multi_thread")]
async fn the_visitor_reads_from_afar_what_was_written_at_the_primary() {
    let world = new_world().await;
    let mut vars = environment(&world, "whole_way").await;
    vars.insert("SECRET_KEY".to_owned(), "5a".repeat(32));
    let far = Site::with_max_lag(&vars, HOUR);
    vars.insert("FLY_REGION".to_owned(), primary().to_owned());
    let home = Site::of(&vars);
    world.server(first_replica()).unwrap().pause_replay().await.unwrap();

    // Cookies know no ports, so one browser visits both.
    let write =
        |site: &Site| far.browser.post(site.url("/users")).header("fly-region", "here").form(&FORM);
    assert_handed_on(&Page::of(write(&far)).await);
    let replayed = || write(&home).header("fly-replay-src", "instance=1;region=here;t=1;state=");
    let page = until(replayed, |page| page.status == StatusCode::SEE_OTHER).await;
    assert_eq!(page.served_by(), format!("{}; role=primary; reason=primary", primary()));

    let shown = page.header("location").unwrap();
    let page = far.get(&shown).await;
    page.assert_shows("<bdi>Grace</bdi>");
    page.assert_shows("User created successfully.");
    // The position came along.
    let fresher = format!("{}; role=primary; reason=fresher", primary());
    far.until(&shown, |page| page.served_by() == fresher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_comes_before_the_body() {
    let site = Site::new("before_the_body").await;
    let head = format!(
        "fly-region: here\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n",
        SENT.len()
    );
    let withheld = sent(&site, &format!("POST /users HTTP/1.1\r\nhost: here\r\n{head}\r\n")).await;
    let unread =
        sent(&site, &format!("POST /users HTTP/1.1\r\nhost: here\r\n{head}\r\n{SENT}")).await;
    for answer in [withheld, unread] {
        assert!(answer.starts_with("HTTP/1.1 409 Conflict\r\n"), "{answer}");
        assert!(answer.contains(&format!("\r\nfly-replay: {}\r\n", handed_on())), "{answer}");
        assert!(answer.ends_with("as fly-replay says"), "it is whole: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_with_no_body_left_unread_takes_the_next_request() {
    let site = Site::new("next_request").await;
    let delete = "DELETE /users/1 HTTP/1.1\r\nhost: here\r\nfly-region: here\r\n";
    let answers = sent(&site, &format!("{delete}\r\n{delete}connection: close\r\n\r\n")).await;
    assert_eq!(answers.matches("HTTP/1.1 409 Conflict\r\n").count(), 2, "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_proxy_can_hand_on_is_written_from_here() {
    let vars = environment(shared_world().await, "from_here").await;
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
    assert_eq!(everybody(&vars).await.len(), 4);

    let head = "POST /users HTTP/1.1\r\nhost: here\r\nfly-region: here\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    let chunked = format!(
        "{head}connection: close\r\ntransfer-encoding: chunked\r\n\r\n23\r\n{SENT}\r\n0\r\n\r\n"
    );
    let answer = sent(&site, &chunked).await;
    assert!(answer.starts_with("HTTP/1.1 303 See Other\r\n"), "{answer}");
    assert_eq!(everybody(&vars).await.len(), 5);

    let answer = sent(&site, &format!("{head}content-length: 1000000\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 409 Conflict\r\n"), "{answer}");
    let answer = sent(&site, &format!("{head}content-length: 1000001\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "its own refusal: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_in_the_primarys_region_or_in_none_hands_nothing_on() {
    let mut vars = environment(shared_world().await, "at_home").await;
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

#[tokio::test(flavor = "multi_thread")]
async fn reads_stay_and_writes_from_other_sites_are_refused_here() {
    let site = Site::new("stay").await;
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

fn handed_on() -> String {
    format!("region={};timeout=5s;fallback=prefer_self", primary())
}

#[track_caller]
fn assert_handed_on(page: &Page) {
    assert_eq!(
        (page.status, page.header("fly-replay")),
        (StatusCode::CONFLICT, Some(handed_on())),
        "{}",
        page.body
    );
}

/// What the primary has.
async fn everybody(vars: &HashMap<String, String>) -> Vec<User> {
    let mut connection =
        archipelago::connect(settings(vars).databases.url(primary()).unwrap()).await.unwrap();
    users::table.order(users::id).select(User::as_select()).load(&mut connection).await.unwrap()
}

/// Everything that the app answers to these bytes before it closes the connection.
async fn sent(site: &Site, request: &str) -> String {
    let mut socket = TcpStream::connect(site.running.address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, socket.read_to_string(&mut answer))
        .await
        .expect("no end of the answer")
        .unwrap();
    answer
}
