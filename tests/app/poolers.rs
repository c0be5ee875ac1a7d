//! `migrate` through `PgBouncer`: refused before anything runs, unless the pooler keeps a server for
//! each session.

use archipelago::{DatabaseUrl, DownReason};
use archipelago_app::migrations::{self, MigrationError};
use archipelago_lab::{World, eventually};
use diesel::dsl::sql;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use super::pgbouncer::{Pooler, pooler};
use super::site::{DEADLINE, PRIMARY, REPLICAS};

/// The advisory locks of all sessions.
const LOCKS: &str = "(SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE locktype = 'advisory' AND datname = current_database())";

const TABLES: &str = "(SELECT count(*) FROM pg_tables WHERE schemaname = 'public')";

async fn primary(world: &World) -> AsyncPgConnection {
    AsyncPgConnection::establish(&world.primary().url()).await.unwrap()
}

async fn count(connection: &mut AsyncPgConnection, query: &str) -> i64 {
    diesel::select(sql::<BigInt>(query)).get_result(connection).await.unwrap()
}

fn through_sessions(pooler: &Pooler) -> DatabaseUrl {
    pooler.url.parse::<DatabaseUrl>().unwrap().through_session_pooler()
}

#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn nothing_is_migrated_through_a_pooler_that_is_not_named(world: World) {
    let mut direct = primary(&world).await;
    for mode in ["session", "transaction", "statement"] {
        let Some(pooler) = pooler(&world, mode, "").await else { return };
        let error = migrations::run(&pooler.url.parse().unwrap()).await.unwrap_err();
        let is_pooler = |error: &MigrationError| {
            matches!(error, MigrationError::Unreachable { reason: DownReason::Pooler, .. })
        };
        assert!(is_pooler(&error), "{mode}: {error}");
        assert!(error.to_string().contains("write the server's own URL"), "{mode}: {error}");
        pooler.assert_untouched().await;
        assert_eq!(count(&mut direct, LOCKS).await, 0, "{mode}");
        assert_eq!(count(&mut direct, TABLES).await, 0, "{mode}");
    }
}

/// The pooler itself resets nothing.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_pooler_of_sessions_keeps_nothing_of_a_migration(world: World) {
    let Some(pooler) = pooler(&world, "session", "server_reset_query =").await else { return };
    let url = through_sessions(&pooler);
    let ran = migrations::run(&url).await.unwrap();
    assert!(ran.len() > 1, "{ran:?}");
    pooler.assert_untouched().await;
    assert_eq!(count(&mut primary(&world).await, LOCKS).await, 0);
    assert_eq!(migrations::run(&url).await.unwrap(), [""; 0]);
}

/// The pooler resets the session, as it does by default.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn a_pooler_of_sessions_keeps_nothing_of_a_migration_that_fails(world: World) {
    let Some(pooler) = pooler(&world, "session", "").await else { return };
    let mut direct = primary(&world).await;
    direct.batch_execute("CREATE TABLE users (id bigint)").await.unwrap();
    let error = migrations::run(&through_sessions(&pooler)).await.unwrap_err();
    assert!(matches!(error, MigrationError::Refused(_)), "{error}");
    eventually("the lock of all migrations is free", DEADLINE, async || {
        count(&mut direct, LOCKS).await == 0
    })
    .await;
    pooler.assert_untouched().await;
}
