//! A form that is sent more than once (a timeout, a double click, a reload) creates one user.

use std::collections::{HashMap, HashSet};

use archipelago::override_variable;
use archipelago_app::schema::users;
use archipelago_lab::World;
use diesel_async::RunQueryDsl;
use futures_util::future::join_all;
use reqwest::StatusCode;

use super::counting_proxy::{CountingProxy, fewest};
use super::site::{PRIMARY, Page, REPLICAS, Site, environment, primary, settings};

const KEY: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

fn ada(key: &str) -> [(&str, &str); 3] {
    [("_key", key), ("user[name]", "Ada"), ("user[age]", "36")]
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_form_that_arrives_twice_creates_one_user(world: World) {
    let vars = environment(&world).await;
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

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn forms_sent_at_the_same_moment_create_one_user(world: World) {
    let mut vars = environment(&world).await;
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

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_resent_form_with_other_values_is_questioned(world: World) {
    let vars = environment(&world).await;
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

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_deleted_users_key_creates_another_user(world: World) {
    let site = Site::new(&world).await;
    let shown = site.post("/users", &ada(KEY)).await.header("location").unwrap();
    site.post(&shown, &[("_method", "delete")]).await;
    let page = site.post("/users", &ada(KEY)).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
    assert_ne!(page.header("location").unwrap(), shown);
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_form_with_errors_keeps_its_key(world: World) {
    let site = Site::new(&world).await;
    let page = site.post("/users", &[("_key", KEY), ("user[name]", ""), ("user[age]", "36")]).await;
    assert_eq!((page.status, key(&page).as_str()), (StatusCode::UNPROCESSABLE_ENTITY, KEY));
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_malformed_key_is_replaced_and_the_values_are_kept(world: World) {
    let vars = environment(&world).await;
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

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn without_a_key_each_form_creates_a_user(world: World) {
    let vars = environment(&world).await;
    let site = Site::of(&vars);
    assert_ne!(site.create("Ada", "36").await, site.create("Ada", "36").await);
    assert_eq!(count(&vars).await, 2);
}

/// A statement that Diesel prepared each time would take two round trips.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_key_costs_no_further_round_trip(world: World) {
    let mut vars = environment(&world).await;
    let (proxy, home) = CountingProxy::start(&vars[&override_variable(primary())]).await;
    vars.insert(override_variable(primary()), home);
    let site = Site::of(&vars);
    for key in [KEY, ""] {
        let form = ada(key);
        let form = if key.is_empty() { &form[1..] } else { &form };
        // The first form opens a connection and prepares the statement.
        site.until_saved(form).await;
        let trips = fewest(async || proxy.round_trips(site.until_saved(form)).await).await;
        assert_eq!(trips, 1, "with the key {key:?}");
    }
}

/// The key of the form on a page.
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
