//! A primary and four replicas that the tests of this file share, because none harms a server.

use archipelago_lab::{Role, World};

use crate::{DEADLINE, sql};

#[archipelago_lab::test(primary = "nrt", replicas = ["ord", "ams", "syd", "gru"])]
async fn what_the_primary_writes_every_replica_reads(world: World) {
    sql::write(&world.primary().url(), "hello").await;
    world.catch_up().await.unwrap();

    assert_eq!(world.replicas().count(), 4);
    for replica in world.replicas() {
        assert_eq!(sql::notes(&replica.url()).await, ["hello"], "{}", replica.region());
    }
}

#[archipelago_lab::test(primary = "nrt", replicas = ["ord", "ams", "syd", "gru"])]
async fn regions_have_servers_with_roles_and_ports(world: World) {
    assert!(world.is_new());
    assert_eq!(world.primary().region(), "nrt");
    assert_eq!(world.server("ams").unwrap().role(), Role::Replica);
    assert_eq!(world.server("nrt").unwrap().role(), Role::Primary);
    assert!(world.server("lhr").is_none());
    let mut ports: Vec<u16> = world.servers().map(archipelago_lab::Server::port).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 5);
    assert!((14..=18).contains(&world.postgres().major()));
}

#[archipelago_lab::test(primary = "nrt", replicas = ["ord", "ams", "syd", "gru"])]
async fn replicas_stream_and_take_no_writes(world: World) {
    let admin = sql::connect(&world.primary().admin_url()).await;
    let rows = admin
        .query(
            "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming' ORDER BY 1",
            &[],
        )
        .await
        .unwrap();
    let streaming: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(streaming, ["ams", "gru", "ord", "syd"]);

    let replica = sql::connect(&world.replicas().next().unwrap().url()).await;
    let refused = replica.batch_execute("CREATE TABLE refused ()").await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "25006");
}

#[archipelago_lab::test(primary = "nrt", replicas = ["ord", "ams", "syd", "gru"])]
async fn the_role_app_is_ordinary_and_owns_its_databases(world: World) {
    world.create_database("Odd \"name\" / 1").await.unwrap();

    let client = sql::connect(&world.primary().url_of("Odd \"name\" / 1")).await;
    let row = client
        .query_one(
            "SELECT current_user::text, current_setting('is_superuser'), current_database()::text, \
             pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()",
            &[],
        )
        .await
        .unwrap();
    let answers: [String; 4] = std::array::from_fn(|column| row.get(column));
    assert_eq!(answers, ["app", "off", "Odd \"name\" / 1", "app"]);
}

#[archipelago_lab::test(primary = "nrt", replicas = ["ord", "ams", "syd", "gru"])]
async fn a_wrong_password_is_refused(world: World) {
    let wrong = world.primary().url().replace("app:", "app:x");
    let refused = tokio_postgres::connect(&wrong, tokio_postgres::NoTls).await.map(drop);
    assert_eq!(refused.unwrap_err().code().unwrap().code(), "28P01");
}

#[archipelago_lab::test(primary = "nrt", replicas = ["ord", "ams", "syd", "gru"])]
async fn many_small_commits_are_waited_for_exactly(world: World) {
    let replica = world.server("syd").unwrap();
    let primary = sql::connect(&world.primary().url()).await;
    primary.batch_execute("CREATE TABLE notes (note text)").await.unwrap();
    let admin = sql::connect(&world.primary().admin_url()).await;
    // A commit can be waited for wherever it ends in a page or a segment of the log.
    for number in 0..20 {
        primary.execute("INSERT INTO notes VALUES ($1)", &[&"x".repeat(number * 8)]).await.unwrap();
        if number % 5 == 0 {
            admin.query("SELECT pg_switch_wal()", &[]).await.unwrap();
        }
        let written = world.primary().position().await.unwrap();
        replica.wait_until_replayed(written, DEADLINE).await.unwrap();
    }
    assert_eq!(sql::notes(&replica.url()).await.len(), 20);
}
