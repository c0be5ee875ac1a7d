//! Requests to the program, on a primary and two replicas.

use archipelago_lab::World;
use serde_json::json;
use visits::{Program, json, served_by};

const PROGRAM: &str = env!("CARGO_BIN_EXE_axum-service");
const SCHEMA: &str = include_str!("../../schema.sql");

#[archipelago_lab::test(primary = "nrt", replicas = ["ord", "ams"])]
async fn a_visitor_writes_and_reads(world: World) {
    let service = Program::start(&world, PROGRAM, SCHEMA).await;
    let open = async |owner, cents| {
        let account = service.post("/accounts", json!({ "owner": owner, "cents": cents })).await;
        json(account).await["id"].as_i64().unwrap()
    };
    let (ada, bob) = (open("Ada", 100).await, open("Bob", 10).await);
    let pay = async |payee, cents| {
        let transfer = json!({ "payer": ada, "payee": payee, "cents": cents });
        service.post("/transfers", transfer).await.status()
    };
    assert_eq!(pay(bob, 30).await, 204);
    assert_eq!(pay(bob, 71).await, 422, "Ada has 70");
    assert_eq!(pay(999, 1).await, 422, "there is no such payee");

    let response = service.get(&format!("/accounts/{ada}")).await;
    assert!(!served_by(&response).is_empty());
    assert_eq!(json(response).await["cents"], 70);
    let overview = json!({
        "totals": { "accounts": 2, "cents": 110 },
        "richest": ["Ada", "Bob"],
    });
    assert_eq!(json(service.get("/reports/overview").await).await, overview);
    assert_eq!(json(service.get("/reports/payers").await).await, json!([[ada, 1]]));
    assert_eq!(service.get("/accounts/999").await.status(), 404);
    service.stop().await;
}
