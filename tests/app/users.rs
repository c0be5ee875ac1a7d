//! Users are created, shown, edited and deleted, as a browser does it.

use archipelago_app::schema::users;
use archipelago_app::users::NewUser;
use archipelago_lab::World;
use diesel::result::DatabaseErrorKind;
use diesel::result::Error::DatabaseError;
use diesel_async::RunQueryDsl;
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::site::{
    PRIMARY, Page, REPLICAS, Site, environment, first_replica, primary, settings, visitor,
};

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_user_is_created_shown_edited_and_deleted(world: World) {
    let site = Site::new(&world).await;
    let shown = site.create("Ada Lovelace", "36").await;

    let page = site.get(&shown).await;
    assert_eq!(page.status, StatusCode::OK);
    page.assert_shows("<bdi>Ada Lovelace</bdi>");
    page.assert_shows("User created successfully.");
    site.get(&shown).await.assert_hides("User created successfully.");

    let form = site.get(&format!("{shown}/edit")).await;
    form.assert_shows(r#"value="Ada Lovelace""#);
    form.assert_shows(r#"value="36""#);
    let update = [("_method", "put"), ("user[name]", "Countess of Lovelace"), ("user[age]", "37")];
    let page = site.post(&shown, &update).await;
    assert_eq!(
        (page.status, page.header("location")),
        (StatusCode::SEE_OTHER, Some(shown.clone()))
    );
    let page = site.get(&shown).await;
    page.assert_shows("Countess of Lovelace");
    page.assert_shows("User updated successfully.");

    let page = site.post(&shown, &[("_method", "delete")]).await;
    assert_eq!(
        (page.status, page.header("location").as_deref()),
        (StatusCode::SEE_OTHER, Some("/users"))
    );
    let page = site.get("/users").await;
    page.assert_shows("User deleted successfully.");
    page.assert_hides("Lovelace");
    assert_eq!(site.get(&shown).await.status, StatusCode::NOT_FOUND);
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn every_page_says_which_region_served_it(world: World) {
    let site = Site::new(&world).await;
    let local = format!("{}; role=replica; reason=local", first_replica());
    let written = format!("{}; role=primary; reason=primary", primary());

    let list = site.get("/users").await;
    assert_eq!(list.served_by(), local);
    assert!(list.header("server-timing").unwrap().starts_with("db;dur="));
    list.assert_shows(&format!("Served by {} · replica · local", first_replica()));

    let created = site.post("/users", &[("user[name]", "Ada"), ("user[age]", "36")]).await;
    assert_eq!(created.served_by(), written);
    let form = site.get("/users/new").await;
    assert_eq!(form.served_by(), "", "a page without a query");
    let in_vain = Page::of(visitor().get(site.url("/users/99"))).await;
    assert_eq!(in_vain.served_by(), local, "a page whose query found nothing");
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn bad_input_is_shown_again_with_what_is_wrong(world: World) {
    let site = Site::new(&world).await;
    let page = site.post("/users", &[("user[name]", "   "), ("user[age]", "1000")]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    page.assert_shows("Write a name.");
    page.assert_shows("Write an age from 0 to 150.");
    page.assert_shows(r#"value="1000""#);
    assert_eq!(page.served_by(), "", "no query was sent");

    let long = "x".repeat(101);
    let page = site.post("/users", &[("user[name]", &long), ("user[age]", "3")]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    page.assert_shows(&long);
    page.assert_shows("Write at most 100 characters.");

    let shown = site.create("Ada", "36").await;
    let page =
        site.post(&shown, &[("_method", "put"), ("user[name]", "Ada"), ("user[age]", "old")]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    page.assert_shows("Write the age as a whole number.");
    page.assert_shows(r#"value="put""#);
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn the_bounds_of_the_form_are_those_of_the_table(world: World) {
    let vars = environment(&world).await;
    let site = Site::of(&vars);
    for (name, age) in [("é".repeat(100), "0"), ("x".to_owned(), "150")] {
        let shown = site.create(&name, age).await;
        site.get(&shown).await.assert_shows(&name);
    }
    let mut connection =
        archipelago::connect(settings(&vars).databases.url(primary()).unwrap()).await.unwrap();
    for (name, age) in
        [("é".repeat(101), 1), (String::new(), 1), ("x".to_owned(), 151), ("x".to_owned(), -1)]
    {
        let insert = diesel::insert_into(users::table).values(NewUser { name, age });
        let refused = insert.execute(&mut connection).await.unwrap_err();
        assert!(
            matches!(refused, DatabaseError(DatabaseErrorKind::CheckViolation, _)),
            "{refused}"
        );
    }
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn what_visitors_write_is_escaped(world: World) {
    let site = Site::new(&world).await;
    let shown = site.create(r#"<script>alert("1")</script>"#, "1").await;
    for path in [shown.as_str(), "/users", &format!("{shown}/edit")] {
        let page = site.get(path).await;
        page.assert_hides("<script>");
        page.assert_shows("&#60;script&#62;");
    }
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn put_patch_delete_and_head_are_taken_as_methods(world: World) {
    let site = Site::new(&world).await;
    let shown = site.create("Ada", "36").await;
    let put =
        site.browser.put(site.url(&shown)).form(&[("user[name]", "Grace"), ("user[age]", "85")]);
    assert_eq!(Page::of(put).await.status, StatusCode::SEE_OTHER);
    let patch = site.browser.patch(site.url(&shown)).form(&[("user[age]", "86")]);
    assert_eq!(Page::of(patch).await.status, StatusCode::SEE_OTHER);
    let page = site.get(&shown).await;
    page.assert_shows("Grace");
    page.assert_shows("86");
    let delete = || site.browser.delete(site.url(&shown));
    assert_eq!(Page::of(delete()).await.status, StatusCode::SEE_OTHER);
    assert_eq!(Page::of(delete()).await.status, StatusCode::NOT_FOUND, "it was deleted");

    let mut socket = TcpStream::connect(site.running.address).await.unwrap();
    socket
        .write_all(b"HEAD /users HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut head = String::new();
    socket.read_to_string(&mut head).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}
