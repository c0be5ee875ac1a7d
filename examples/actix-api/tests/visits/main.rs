//! Requests to the program, on a primary and two replicas.

use archipelago_lab::World;
use serde_json::json;
use visits::{Program, json, served_by};

const PROGRAM: &str = env!("CARGO_BIN_EXE_actix-api");
const SCHEMA: &str = include_str!("../../schema.sql");

#[archipelago_lab::test(primary = "nrt", replicas = ["ord", "ams"])]
async fn a_visitor_writes_and_reads(world: World) {
    let api = Program::start(&world, PROGRAM, SCHEMA).await;
    let ada = json!({ "email": "ada@example.org", "name": "Ada" });
    let ada = json(api.post("/users", ada).await).await;
    let again = json!({ "email": "ada@example.org", "name": "Another" });
    assert_eq!(api.post("/users", again).await.status(), 409);
    let many: Vec<_> =
        (1..=24).map(|n| json!({ "email": format!("{n}@example.org"), "name": "x" })).collect();
    assert_eq!(json(api.post("/users/batch", many.into()).await).await[23]["name"], "x");

    let response = api.get("/users?page=2").await;
    assert!(!served_by(&response).is_empty());
    let page = json(response).await;
    assert_eq!((page["total"].as_i64(), page["users"].as_array().unwrap().len()), (Some(25), 5));
    let csv = api.get("/users.csv").await.text().await.unwrap();
    assert_eq!(csv.lines().count(), 25);
    assert_eq!(csv.lines().next(), Some("1,ada@example.org"));

    let post = json!({ "user_id": ada["id"], "title": "Notes", "first_comment": "First" });
    let post = json(api.post("/posts", post).await).await;
    let comment = json!({ "user_id": ada["id"], "text": "Second" });
    let path = format!("/posts/{}/comments", post["id"]);
    assert_eq!(api.post(&path, comment).await.status(), 204);
    let comment = json!({ "user_id": 999, "text": "Third" });
    assert_eq!(api.post(&path, comment).await.status(), 422);
    let newest = json(api.get("/posts").await).await;
    assert_eq!(newest, json!([{ "title": "Notes", "author": "Ada", "comments": 2 }]));
    let profile = json(api.get(&format!("/users/{}", ada["id"])).await).await;
    assert_eq!((&profile["user"], &profile["posts"][0]), (&ada, &post));
    assert_eq!(api.get("/users/999").await.status(), 404);
    api.stop().await;
}
