//! What each database has served is counted: each read, write and failure once.

use archipelago::{Error, Member, Reason, RepoSet, Settings, Traffic};
use archipelago_lab::{World, eventually};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::setup::{DEADLINE, HOUR, Repos, create_users, users};

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn each_query_counts_once(world: World) {
    let repos = seen_from_near(&world).await;
    let count = || users::table.count();
    repos.replica().get_result::<i64>(count()).await.unwrap();
    let snapshot = repos.replica().snapshot(async |reads| {
        reads.get_result::<i64>(count()).await?;
        reads.get_result::<i64>(count()).await
    });
    snapshot.await.unwrap();
    let lent = repos
        .replica()
        .connection(async |connection| Ok::<i64, Error>(count().get_result(connection).await?));
    lent.await.unwrap();
    assert_eq!(served(&repos, "near"), (3, 0), "a read, a snapshot, a connection");
    assert_eq!(traffic(&repos, "near").reads(Reason::Local), 3);

    repos.primary().execute(ada()).await.unwrap();
    let transaction = repos.primary().transaction(async |connection| {
        ada().execute(connection).await?;
        ada().execute(connection).await?;
        Ok::<_, Error>(())
    });
    transaction.await.unwrap();
    let lent = repos.primary().connection(async |connection| {
        ada().execute(connection).await?;
        Ok::<_, Error>(())
    });
    lent.await.unwrap();
    // What the database refuses is no failure of it.
    let unknown = diesel::sql_query("SELECT no_such_column FROM users");
    repos.primary().execute(unknown).await.unwrap_err();
    let undone = repos.primary().transaction(async |_| Err::<(), _>(Error::from(diesel::NotFound)));
    undone.await.unwrap_err();
    let home = traffic(&repos, "home");
    assert_eq!((home.writes, home.failures, home.all_reads()), (3, 0, 0), "{home:?}");
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn each_failure_counts_where_it_happened(world: World) {
    let repos = seen_from_near(&world).await;
    let (near, home) = (world.server("near").unwrap(), world.server("home").unwrap());
    let count = || users::table.count();
    repos.replica().get_result::<i64>(count()).await.unwrap();

    let broken = repos.primary().transaction(async |connection| {
        ada().execute(connection).await?;
        home.kill().await.unwrap();
        ada().execute(connection).await?;
        Ok::<_, Error>(())
    });
    broken.await.unwrap_err();
    let found = traffic(&repos, "home");
    assert_eq!((found.writes, found.failures), (0, 1), "{found:?}");

    near.kill().await.unwrap();
    eventually("a read from afar", DEADLINE, async || {
        repos.replica().get_result::<i64>(count()).await.is_ok()
    })
    .await;
    assert_eq!(traffic(&repos, "near").all_reads(), 1);
    assert_eq!(traffic(&repos, "far").reads(Reason::Failover), 1);
}

async fn seen_from_near(world: &World) -> Repos {
    let settings: Settings = create_users(world).await.in_region("near").with_max_lag(HOUR);
    let repos = Repos::connect(&settings).await.unwrap();
    eventually("the replica serves", DEADLINE, async || {
        member(&repos, "near").health().up == Some(true)
    })
    .await;
    repos
}

fn ada() -> diesel::query_builder::SqlQuery {
    diesel::sql_query("INSERT INTO users (name, age) VALUES ('Ada', 36)")
}

fn member<'a>(repos: &'a Repos, region: &str) -> &'a Member {
    repos.members().find(|member| member.info().code == region).unwrap()
}

fn traffic(repos: &Repos, region: &str) -> Traffic {
    member(repos, region).traffic()
}

/// Reads and failures.
fn served(repos: &Repos, region: &str) -> (u64, u64) {
    let traffic = traffic(repos, region);
    (traffic.all_reads(), traffic.failures)
}
