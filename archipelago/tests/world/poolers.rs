//! `PgBouncer` between the program and its database: refused before it hands settings of ours to other
//! programs, unless it keeps a server for each session.

use archipelago::{DatabaseUrl, DownReason, Error, NotServed, RepoSet, Settings, connect};
use archipelago_lab::World;
use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel_async::RunQueryDsl;

use super::pgbouncer::pooler;
use super::setup::{HOUR, Repos, create_users, users};

async fn assert_refused(world: &World, mode: &str) {
    let Some(pooler) = pooler(world, mode, "").await else { return };
    let settings = Settings::single_database::<Repos>(&pooler.url).unwrap();
    let repos = Repos::new(&settings).unwrap();
    let read = repos.replica().load::<i32>(diesel::select(1.into_sql::<Integer>())).await;
    let Err(Error::NotServed { tried }) = &read else { panic!("{read:?}") };
    assert!(
        tried.iter().all(|it| matches!(it.reason, NotServed::Down(DownReason::Pooler))),
        "{tried:?}"
    );
    let write = repos.primary().execute(diesel::sql_query("CREATE TABLE t ()")).await;
    assert!(matches!(write, Err(Error::NoPrimary { .. })), "{write:?}");
    let health = repos.members().next().unwrap().health();
    assert_eq!(health.down_reason, Some(DownReason::Pooler));
    repos.shutdown().await;
    let url: DatabaseUrl = pooler.url.parse().unwrap();
    assert!(matches!(connect(&url).await, Err(DownReason::Pooler)));
    pooler.assert_untouched().await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_pooler_of_transactions_is_refused(world: World) {
    assert_refused(&world, "transaction").await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_pooler_of_statements_is_refused(world: World) {
    assert_refused(&world, "statement").await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_pooler_of_sessions_is_refused_until_it_is_named(world: World) {
    create_users(&world).await;
    assert_refused(&world, "session").await;
    let Some(pooler) = pooler(&world, "session", "").await else { return };
    let var = |name: &str| match name {
        "DATABASE_URL" => Ok(pooler.url.clone()),
        "DATABASE_POOLER" => Ok("session".to_owned()),
        _ => Err(std::env::VarError::NotPresent),
    };
    let settings = Settings::from_vars::<Repos>(var).unwrap().with_max_lag(HOUR);
    let repos = Repos::connect(&settings.with_pool_size(3)).await.unwrap();
    let names = || users::table.select(users::name);
    let ada = diesel::insert_into(users::table).values((users::name.eq("Ada"), users::age.eq(36)));
    repos.primary().execute(ada).await.unwrap();
    assert_eq!(repos.replica().load::<String>(names()).await.unwrap(), ["Ada"]);
    let snapshot = repos.replica().snapshot(async |reads| reads.load::<String>(names()).await);
    assert_eq!(snapshot.await.unwrap(), ["Ada"]);
    let renamed = repos.primary().transaction(async |connection| {
        let rename = diesel::update(users::table).set(users::name.eq("Grace"));
        Ok::<_, Error>(rename.execute(connection).await?)
    });
    assert_eq!(renamed.await.unwrap().value, 1);
    repos.shutdown().await;
    let url = pooler.url.parse::<DatabaseUrl>().unwrap().through_session_pooler();
    connect(&url).await.unwrap();
    pooler.assert_untouched().await;
}
