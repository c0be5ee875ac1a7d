//! The methods of both handles, each form of query on them, and what a spawned task may do.

use std::sync::Arc;

use archipelago::visitor::Session;
use archipelago::{Error, Freshness, Isolation, PlainSelect, Settings};
use archipelago_lab::{World, eventually};
use diesel::dsl::{count_star, exists, not};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::Error::NotFound;
use diesel::sql_types::{BigInt, Bool};
// In scope on purpose: it changes no method of a handle.
use diesel_async::RunQueryDsl;
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use futures_util::TryStreamExt;
use tokio::sync::Barrier;
use tokio::task::spawn;

use super::setup::{DEADLINE, HOUR, Repos, create_users, users};

type User = (i64, String, i32);

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
}

/// As in Diesel's guide.
#[derive(QueryId)]
struct Paginated<T>(T);

impl<T: PlainSelect> PlainSelect for Paginated<T> {}

impl<T: Query> Query for Paginated<T> {
    type SqlType = (T::SqlType, BigInt);
}

impl<T: QueryFragment<Pg>> QueryFragment<Pg> for Paginated<T> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT *, count(*) OVER () FROM (");
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(") AS page LIMIT 1");
        Ok(())
    }
}

/// A function of a program that knows nothing of replicas.
async fn names(connection: &mut AsyncPgConnection, least: i32) -> QueryResult<Vec<String>> {
    let names = users::table.filter(users::age.ge(least)).select(users::name).order(users::id);
    names.load(connection).await
}

#[derive(Insertable)]
#[diesel(table_name = users)]
struct NewUser<'a> {
    name: &'a str,
    age: i32,
}

fn row(name: &str, age: i32) -> NewUser<'_> {
    NewUser { name, age }
}

async fn repos(world: &World) -> Arc<Repos> {
    let settings = create_users(world).await.in_region("near");
    Arc::new(Repos::connect(&settings).await.unwrap())
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn every_method_runs_in_a_spawned_task(world: World) {
    let repos = repos(&world).await;
    let session = Session::new();
    let (writing, written) = (repos.clone(), session.clone());
    let write = spawn(async move {
        let (primary, least) = (writing.primary().for_visitor(&written), 0);
        let insert = |name, age| {
            diesel::insert_into(users::table).values((users::name.eq(name), users::age.eq(age)))
        };
        assert_eq!(primary.execute(insert("Ada", 36)).await?.value, 1);
        let id = primary.get_result::<i64>(insert("Bob", 41).returning(users::id)).await?.value;
        let all =
            [(users::name.eq("Cy"), users::age.eq(5)), (users::name.eq("Di"), users::age.eq(6))];
        let batch = diesel::insert_into(users::table).values(all.to_vec()).returning(users::name);
        assert_eq!(primary.load::<String>(batch).await?.value, ["Cy", "Di"]);
        let none = diesel::delete(users::table.find(99)).returning(users::id);
        assert_eq!(primary.optional::<i64>(none).await?.value, None);
        let renamed = primary.transaction(async |connection| {
            diesel::update(users::table.find(id))
                .set(users::name.eq("Ben"))
                .execute(connection)
                .await?;
            Ok::<_, Error>(names(connection, least).await?)
        });
        assert_eq!(renamed.await?.value.len(), 4);
        let serializable = primary.isolation(Isolation::Serializable).retries(2);
        let count = serializable.transaction(async |connection| {
            let level: String = diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>(
                "current_setting('transaction_isolation')",
            ))
            .get_result(connection)
            .await?;
            Ok::<_, Error>((level, names(connection, least).await?.len()))
        });
        assert_eq!(count.await?.value, ("serializable".to_owned(), 4));
        let names =
            primary.connection(async |connection| Ok::<_, Error>(names(connection, least).await?));
        assert_eq!(names.await?.value, ["Ada", "Ben", "Cy", "Di"]);
        let reads = primary.reads().load::<User>(users::table).await?;
        Ok::<_, Error>(reads.len())
    });
    assert_eq!(write.await.unwrap().unwrap(), 4);

    let read = spawn(async move {
        let (replica, least) = (repos.replica().for_visitor(&session), 6);
        let by_id = || users::table.order(users::id);
        assert_eq!(replica.load::<User>(by_id()).await?.len(), 4);
        assert_eq!(replica.get_results::<User>(by_id()).await?.len(), 4);
        assert_eq!(replica.first::<User, _>(by_id()).await?.1, "Ada");
        assert_eq!(replica.get_result::<i64>(users::table.count()).await?, 4);
        assert!(replica.optional::<User>(users::table.find(99)).await?.is_none());
        assert_eq!(replica.load_served::<User>(by_id()).await?.value.len(), 4);
        let raw =
            diesel::sql_query("WITH all_users AS (SELECT * FROM users) SELECT name FROM all_users");
        let raw: Vec<Name> = replica.load_unchecked(raw).await?;
        assert!(raw.iter().any(|row| row.name == "Ben"));
        let rows: Vec<User> = replica.load_stream::<User>(by_id()).await?.try_collect().await?;
        assert_eq!(rows.len(), 4);
        let both = replica.snapshot(async |reads| {
            let count = reads.get_result::<i64>(users::table.count()).await?;
            Ok((count, names(reads, least).await?.len()))
        });
        assert_eq!(both.await?, (4, 3));
        let lent =
            replica.connection(async |connection| Ok::<_, Error>(names(connection, least).await?));
        assert_eq!(lent.await?.len(), 3);
        replica.ping().await?;
        let position = session.positions()[0];
        assert!(repos.primary().reads().has_replayed(position).await?);
        assert!(session.served().is_some());
        let failed = replica.connection(async |_| Err::<(), _>(Error::from(NotFound)));
        failed.await.unwrap_err();
        assert_eq!(session.served(), None, "as after a query that fails");
        let primary = repos.primary().for_visitor(&session);
        primary.execute(diesel::update(users::table).set(users::age.eq(1))).await?;
        assert!(session.served().is_some());
        let failed = primary.connection(async |_| Err::<(), _>(Error::from(NotFound)));
        failed.await.unwrap_err();
        assert_eq!(session.served(), None);
        repos.shutdown().await;
        Ok::<_, Error>(())
    });
    read.await.unwrap().unwrap();
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn every_select_of_diesel_runs_on_a_replica(world: World) {
    let repos = repos(&world).await;
    let session = Session::new();
    let insert = diesel::insert_into(users::table).values(row("Ada", 36));
    repos.primary().for_visitor(&session).execute(insert).await.unwrap();
    let task = spawn(async move {
        let replica = repos.replica().for_visitor(&session);
        let names = || users::table.select(users::name);
        let of_age = |age| names().filter(users::age.eq(age));
        assert_eq!(replica.load::<String>(of_age(36).union(of_age(41))).await?, ["Ada"]);
        assert_eq!(replica.load::<String>(names().union_all(names())).await?.len(), 2);
        assert!(replica.load::<String>(names().except(names())).await?.is_empty());
        let three = names().intersect(names()).union(of_age(1)).limit(3);
        assert_eq!(replica.load::<String>(three).await?.len(), 1);
        assert_eq!(replica.first::<String, _>(names().union(of_age(1))).await?, "Ada");
        let streamed = replica.load_stream::<String>(names().union(names())).await?;
        assert_eq!(streamed.try_collect::<Vec<_>>().await?, ["Ada"]);

        let mut boxed = names().into_boxed();
        boxed = boxed.filter(users::age.gt(3));
        assert_eq!(replica.load::<String>(boxed).await?, ["Ada"]);
        let adult: Box<dyn BoxableExpression<users::table, Pg, SqlType = Bool>> =
            Box::new(users::age.ge(18));
        assert_eq!(replica.load::<String>(names().filter(adult)).await?, ["Ada"]);
        let page: Vec<(User, i64)> = replica.load(Paginated(users::table.limit(5))).await?;
        assert_eq!((page[0].0.1.as_str(), page[0].1), ("Ada", 1));
        let groups = users::table.group_by(users::age).select((users::age, count_star()));
        assert_eq!(replica.load::<(i32, i64)>(groups).await?, [(36, 1)]);
        let same = diesel::alias!(users as same);
        let joined = users::table
            .inner_join(same.on(same.field(users::id).eq(users::id)))
            .select((users::name, same.field(users::age)));
        assert_eq!(replica.load::<(String, i32)>(joined).await?, [("Ada".to_owned(), 36)]);
        let window = users::table.select((users::name, diesel::dsl::count(users::id).over()));
        assert_eq!(replica.load::<(String, i64)>(window).await?, [("Ada".to_owned(), 1)]);
        let is_there = diesel::select(not(exists(users::table.filter(users::age.lt(3)))));
        assert!(replica.get_result::<bool>(is_there).await?);
        assert_eq!(replica.load::<String>(names().distinct()).await?, ["Ada"]);
        Ok::<_, Error>(())
    });
    task.await.unwrap().unwrap();
}

/// On one database that plays every region, and so would take writes.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn what_a_caller_leaves_in_a_session_ends_with_it(world: World) {
    create_users(&world).await;
    let settings = Settings::single_database::<Repos>(&world.primary().url()).unwrap();
    let repos = Repos::connect(&settings.in_region("near").with_pool_size(1)).await.unwrap();
    let make_writable = "SET default_transaction_read_only = off";
    let spoil = "SET application_name = 'spoiled'; SELECT pg_advisory_lock(7); LISTEN spoiled;
                 PREPARE spoiled AS SELECT 1; CREATE TEMP TABLE spoiled (); BEGIN";
    let is_spoiled =
        "SELECT coalesce(nullif(current_setting('application_name'), 'spoiled'), 'x') AS name
        WHERE current_setting('application_name') = 'spoiled'
           OR current_setting('default_transaction_read_only') = 'off'
           OR EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')
           OR EXISTS (SELECT FROM pg_listening_channels())
           OR EXISTS (SELECT FROM pg_prepared_statements WHERE name = 'spoiled')
           OR to_regclass('pg_temp.spoiled') IS NOT NULL";
    for door in ["connection", "snapshot"] {
        let replica = repos.replica();
        let spoiled = match door {
            "connection" => {
                let spoil = async |connection: &mut AsyncPgConnection| {
                    connection.batch_execute(make_writable).await?;
                    Ok::<_, Error>(connection.batch_execute(spoil).await?)
                };
                replica.connection(spoil).await
            }
            _ => {
                let spoil = async |reads: &mut archipelago::Snapshot<'_>| {
                    let set = "SET default_transaction_read_only = off; SELECT pg_advisory_lock(7)";
                    Ok(reads.batch_execute(set).await?)
                };
                replica.snapshot(spoil).await
            }
        };
        spoiled.unwrap();
        // The backend ends a moment after its socket.
        eventually("the session is clean", DEADLINE, async || {
            let query = diesel::sql_query(is_spoiled);
            replica.load_unchecked::<Name>(query).await.unwrap().is_empty()
        })
        .await;
        let write = diesel::insert_into(users::table).values(row("Eve", 1)).returning(users::id);
        assert_eq!(replica.load_unchecked::<i64>(write).await.unwrap_err().code(), Some("25006"));
    }
    let refused = repos.replica().connection(async |connection| {
        let insert = diesel::insert_into(users::table).values(row("Eve", 1));
        Ok::<_, Error>(insert.execute(connection).await?)
    });
    assert_eq!(refused.await.unwrap_err().code(), Some("25006"));
    let nested = repos.primary().connection(async |connection| {
        connection
            .transaction(async |connection| names(connection, 0).await)
            .await
            .map_err(Error::from)
    });
    assert!(nested.await.unwrap().value.is_empty());
}

/// Two transactions that read what the other one changes: one of both is run again.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_conflict_is_retried_and_only_where_wanted(world: World) {
    let repos = repos(&world).await;
    for (retries, expected) in [(0, 1), (3, 2)] {
        let read = Arc::new(Barrier::new(2));
        let tasks = ["Ada", "Bob"].map(|name| {
            let (repos, read) = (repos.clone(), read.clone());
            spawn(async move {
                let first = std::sync::atomic::AtomicBool::new(true);
                let first = &first;
                let serializable = repos.primary().isolation(Isolation::Serializable);
                let written = serializable.retries(retries).transaction(async |connection| {
                    let count: i64 = users::table.count().get_result(connection).await?;
                    if first.swap(false, std::sync::atomic::Ordering::SeqCst) {
                        read.wait().await;
                    }
                    let age = i32::try_from(count).unwrap();
                    let insert = diesel::insert_into(users::table)
                        .values((users::name.eq(name), users::age.eq(age)));
                    insert.execute(connection).await?;
                    Ok::<_, Error>(())
                });
                written.await
            })
        });
        let mut written = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => written += 1,
                Err(error) => assert_eq!(error.code(), Some("40001"), "{error}"),
            }
        }
        assert_eq!(written, expected, "with {retries} retries");
    }
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_stream_that_fails_tells_the_sqlstate(world: World) {
    let repos = Repos::connect(&create_users(&world).await).await.unwrap();
    let quotients =
        diesel::dsl::sql::<BigInt>("1::bigint / (3 - n) FROM generate_series(1, 5) AS n");
    let stream = repos.replica().load_stream::<i64>(diesel::select(quotients)).await.unwrap();
    let error = stream.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.code(), Some("22012"), "{error}");
    repos.shutdown().await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_visitor_sees_why_their_write_failed(world: World) {
    let settings = create_users(&world).await.in_region("near").with_max_lag(HOUR);
    let repos = Repos::connect(&settings).await.unwrap();
    let insert = || {
        let ada = (users::name.eq("Ada"), users::age.eq(36));
        diesel::insert_into(users::table).values(ada)
    };
    let unique = diesel::sql_query("ALTER TABLE users ADD CONSTRAINT once UNIQUE (name)");
    repos.primary().execute(unique).await.unwrap();
    world.catch_up().await.unwrap();
    world.server("near").unwrap().pause_replay().await.unwrap();
    repos.primary().execute(insert()).await.unwrap();
    let count = async |session: &Session| {
        let replica = repos.replica().for_visitor(session);
        replica.get_result::<i64>(users::table.count()).await.unwrap()
    };
    assert_eq!(count(&Session::new()).await, 0, "another visitor need not see it yet");

    let (statement, transaction) = (Session::new(), Session::new());
    let primary = repos.primary().for_visitor(&statement);
    let taken = primary.execute(insert()).await.unwrap_err();
    assert_eq!(taken.constraint(), Some("once"));
    assert_eq!(count(&statement).await, 1);
    let primary = repos.primary().for_visitor(&transaction);
    let refused = primary.transaction(async |connection| {
        let seen: i64 = users::table.count().get_result(connection).await?;
        let refusal = diesel::result::Error::QueryBuilderError(seen.to_string().into());
        Err::<(), _>(Error::from(refusal))
    });
    assert!(refused.await.unwrap_err().to_string().contains('1'));
    assert_eq!(count(&transaction).await, 1);
    repos.shutdown().await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_session_shows_its_visitor_what_they_wrote(world: World) {
    let repos = repos(&world).await;
    world.server("near").unwrap().pause_replay().await.unwrap();
    let session = Session::new();
    let insert = diesel::insert_into(users::table).values(row("Ada", 36));
    repos.primary().for_visitor(&session).execute(insert).await.unwrap();
    let count = async |replica: archipelago::Replica<'_>| {
        replica.get_result::<i64>(users::table.count()).await.unwrap()
    };
    assert_eq!(count(repos.replica()).await, 0, "of another visitor");
    assert_eq!(count(repos.replica().for_visitor(&session)).await, 1);
    assert_eq!(session.served().unwrap().0.region, "home");
    let carried = Session::new();
    session.positions().into_iter().for_each(|position| carried.require(position));
    assert_eq!(count(repos.replica().for_visitor(&carried)).await, 1);
    let any = repos.replica().for_visitor(&carried).fresh(Freshness::Any);
    assert_eq!(count(any).await, 0);
    world.server("near").unwrap().resume_replay().await.unwrap();
}
