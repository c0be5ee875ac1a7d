//! The list, page by page.

use diesel_async::RunQueryDsl;
use reqwest::StatusCode;

use archipelago_app::{schema::users, users::NewUser};

use super::site::{Site, catch_up, environment, primary, settings, shared_world};

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_fifty_there_and_back() {
    let world = shared_world().await;
    let vars = environment(world, "paging").await;
    let people: Vec<_> = (1..=120).map(|n| NewUser { name: format!("User number {n};"), age: 1 }).collect();
    let mut connection = settings(&vars).databases.url(primary()).unwrap().connect().await.unwrap();
    diesel::insert_into(users::table).values(&people).execute(&mut connection).await.unwrap();
    catch_up(world).await;
    let site = Site::of(&vars).await;

    let counts = |body: &str| body.matches("<bdi>User number").count() / 2;
    let first = site.get("/users").await;
    assert_eq!(first.link("Previous"), None);
    let second = site.get(&first.link("Next").unwrap()).await;
    let third = site.get(&second.link("Next").unwrap()).await;
    assert_eq!(third.link("Next"), None);
    assert_eq!([&first, &second, &third].map(|page| counts(&page.body)), [50, 50, 20]);
    for (page, n) in [(&first, 50), (&second, 51), (&second, 100), (&third, 101), (&third, 120)] {
        page.assert_shows(&format!("User number {n};"));
    }
    let back = site.get(&third.link("Previous").unwrap()).await;
    back.assert_shows("User number 51;");
    back.assert_shows("User number 100;");
    back.assert_hides("User number 101;");
    let front = site.get(&back.link("Previous").unwrap()).await;
    front.assert_shows("User number 1;");
    assert_eq!(front.link("Previous"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_says_so() {
    let site = Site::new("empty").await;
    let page = site.get("/users").await;
    assert_eq!(page.status, StatusCode::OK);
    page.assert_shows("no users yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_makes_no_sense_is_explained() {
    let site = Site::new("cursors").await;
    for query in ["after=x", "before=", "after=1&before=9", "after=99999999999999999999"] {
        let page = site.get(&format!("/users?{query}")).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{query}");
        page.assert_shows("A page of the list");
    }
    for query in ["after=9223372036854775807", "before=-9223372036854775808"] {
        assert_eq!(site.get(&format!("/users?{query}")).await.status, StatusCode::OK, "{query}");
    }
}
