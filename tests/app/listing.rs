//! The pages of the users' list.

use diesel_async::RunQueryDsl;
use reqwest::StatusCode;

use archipelago_app::paging::Cursor;
use archipelago_app::{reads, schema::users, users::NewUser};
use archipelago_lab::World;

use super::site::{PRIMARY, REPLICAS, Site, environment, primary, settings};

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn pages_of_fifty_lead_forward_and_back(world: World) {
    let vars = environment(&world).await;
    let people: Vec<_> =
        (1..=120).map(|n| NewUser { name: format!("User number {n};"), age: 1 }).collect();
    let mut connection =
        archipelago::connect(settings(&vars).databases.url(primary()).unwrap()).await.unwrap();
    diesel::insert_into(users::table).values(&people).execute(&mut connection).await.unwrap();
    world.catch_up().await.unwrap();
    let site = Site::of(&vars);

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

/// With any cursor the plan walks the primary key and stops after a page, however many rows there
/// are.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_page_is_read_by_the_index_of_the_primary_key(world: World) {
    #[derive(diesel::QueryableByName)]
    struct Line {
        #[diesel(sql_type = diesel::sql_types::Text, column_name = "QUERY PLAN")]
        plan: String,
    }
    let vars = environment(&world).await;
    let mut connection =
        archipelago::connect(settings(&vars).databases.url(primary()).unwrap()).await.unwrap();
    let fill = "INSERT INTO users (name, age) SELECT 'User', 1 FROM generate_series(1, 100000)";
    diesel::sql_query(fill).execute(&mut connection).await.unwrap();
    diesel::sql_query("ANALYZE users").execute(&mut connection).await.unwrap();
    let middle = Some(50_000);
    for cursor in [
        Cursor::default(),
        Cursor { after: middle, before: None },
        Cursor { after: None, before: middle },
    ] {
        let query =
            diesel::debug_query::<diesel::pg::Pg, _>(&reads::page_query(cursor)).to_string();
        let (query, binds) = query.split_once(" -- binds: [").unwrap();
        let binds = binds.trim_end_matches(']').split(", ");
        let query = binds.enumerate().fold(query.to_owned(), |query, (index, bind)| {
            query.replace(&format!("${}", index + 1), bind)
        });
        let plan: Vec<Line> =
            diesel::sql_query(format!("EXPLAIN {query}")).load(&mut connection).await.unwrap();
        let plan: Vec<_> = plan.iter().map(|line| line.plan.as_str()).collect();
        assert!(plan[0].starts_with("Limit"), "{plan:#?}");
        assert!(plan[1].contains("Index Scan") && plan[1].contains("users_pkey"), "{plan:#?}");
    }
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn an_empty_list_says_so(world: World) {
    let site = Site::new(&world).await;
    let page = site.get("/users").await;
    assert_eq!(page.status, StatusCode::OK);
    page.assert_shows("no users yet");
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_malformed_cursor_is_explained(world: World) {
    let site = Site::new(&world).await;
    for query in ["after=x", "before=", "after=1&before=9", "after=99999999999999999999"] {
        let page = site.get(&format!("/users?{query}")).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{query}");
        page.assert_shows("A page of the list");
    }
    for query in ["after=9223372036854775807", "before=-9223372036854775808"] {
        assert_eq!(site.get(&format!("/users?{query}")).await.status, StatusCode::OK, "{query}");
    }
}
