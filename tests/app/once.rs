//! A form of a new user that arrives more than once: after a timeout, a double click, a reload, or a step back in the browser.

use std::collections::{HashMap, HashSet};

use archipelago::override_variable;
use archipelago_app::schema::users;
use diesel_async::RunQueryDsl;
use futures_util::future::join_all;
use reqwest::StatusCode;

use super::counter::{Counter, fewest};
use super::site::{Page, Site, environment, primary, settings, shared_world};

const KEY: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

fn ada(key: &str) -> [(&str, &str); 3] {
    [("_key", key), ("user[name]", "Ada"), ("user[age]", "36")]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_arrives_twice_creates_one_user() {
    let vars = environment(shared_world().await, "twice").await;
    let site = Site::of(&vars);
    let key = key(&site.get("/users/new").await);
    let first = site.post("/users", &ada(&key)).await;
    let second = site.post("/users", &ada(&key)).await;
    assert_eq!(
        (first.status, second.status),
        (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER),
        "{}",
        second.body
    );
    assert_eq!(first.header("location"), second.header("location"));
    site.get(&second.header("location").unwrap()).await.assert_shows("User created successfully.");
    assert_eq!(count(&vars).await, 1);

    assert_ne!(self::key(&site.get("/users/new").await), key, "the next form creates another user");
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_arrive_at_the_same_moment_all_get_the_one_user() {
    let mut vars = environment(shared_world().await, "same_moment").await;
    let far = Site::of(&vars);
    vars.insert("FLY_REGION".to_owned(), primary().to_owned());
    let home = Site::of(&vars);
    let (sites, form) = ([&far, &home], ada(KEY));
    let sent = sites.into_iter().cycle().take(16).map(|site| site.post("/users", &form));
    let answers = join_all(sent).await;
    assert!(answers.iter().all(|page| page.status == StatusCode::SEE_OTHER), "{answers:#?}");
    let shown: HashSet<_> = answers.iter().map(|page| page.header("location")).collect();
    assert_eq!((shown.len(), count(&vars).await), (1, 1), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_was_changed_meanwhile_is_asked_about() {
    let vars = environment(shared_world().await, "changed").await;
    let site = Site::of(&vars);
    site.post("/users", &ada(KEY)).await;
    let page =
        site.post("/users", &[("_key", KEY), ("user[name]", "Grace"), ("user[age]", "85")]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    page.assert_shows("This form has created user 1 already, who has another name or age.");
    page.assert_shows(r#"value="Grace""#);
    assert_eq!(count(&vars).await, 1);

    let again = site
        .post("/users", &[("_key", &key(&page)), ("user[name]", "Grace"), ("user[age]", "85")])
        .await;
    assert_eq!(again.status, StatusCode::SEE_OTHER, "with the key that came with it");
    assert_eq!(count(&vars).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_goes_with_its_user() {
    let site = Site::new("forgotten").await;
    let shown = site.post("/users", &ada(KEY)).await.header("location").unwrap();
    site.post(&shown, &[("_method", "delete")]).await;
    let page = site.post("/users", &ada(KEY)).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
    assert_ne!(page.header("location").unwrap(), shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_comes_back_keeps_its_key() {
    let site = Site::new("kept_key").await;
    let page = site.post("/users", &[("_key", KEY), ("user[name]", ""), ("user[age]", "36")]).await;
    assert_eq!((page.status, key(&page).as_str()), (StatusCode::UNPROCESSABLE_ENTITY, KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_no_uuid_is_replaced_and_nothing_is_lost() {
    let vars = environment(shared_world().await, "no_uuid").await;
    let site = Site::of(&vars);
    for wrong in ["", "1", "<script>"] {
        let page = site.post("/users", &ada(wrong)).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong:?}");
        page.assert_shows("The field _key holds no UUID");
        page.assert_shows(r#"value="Ada""#);
        page.assert_shows(r#"value="36""#);
        page.assert_hides(&format!(r#"name="_key" value="{wrong}""#));
    }
    assert_eq!(count(&vars).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_may_send_no_key() {
    let vars = environment(shared_world().await, "no_key").await;
    let site = Site::of(&vars);
    assert_ne!(site.create("Ada", "36").await, site.create("Ada", "36").await);
    assert_eq!(count(&vars).await, 2);
}

/// A statement that Diesel prepared each time would take two.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_takes_no_round_trip_more() {
    let mut vars = environment(shared_world().await, "one_round_trip").await;
    let (counter, home) = Counter::before(&vars[&override_variable(primary())]).await;
    vars.insert(override_variable(primary()), home);
    let site = Site::of(&vars);
    for key in [KEY, ""] {
        let form = ada(key);
        let form = if key.is_empty() { &form[1..] } else { &form };
        // Whatever is asked on a new connection, and once of each kind.
        site.until_saved(form).await;
        let trips = fewest(async || counter.of(site.until_saved(form)).await).await;
        assert_eq!(trips, 1, "with the key {key:?}");
    }
}

/// Of the form on a page.
fn key(page: &Page) -> String {
    let (_, key) = page.body.split_once(r#"name="_key" value=""#).expect("the form has a key");
    key.split('"').next().unwrap().to_owned()
}

/// How many users the primary has.
async fn count(vars: &HashMap<String, String>) -> i64 {
    let mut connection =
        archipelago::connect(settings(vars).databases.url(primary()).unwrap()).await.unwrap();
    diesel::QueryDsl::count(users::table).get_result(&mut connection).await.unwrap()
}
