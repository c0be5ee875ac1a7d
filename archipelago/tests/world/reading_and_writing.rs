//! Reads come from the replica, writes go to the primary, and a session for reads refuses writes.

use archipelago::{Error, Position, Replica, Settings};
use archipelago_lab::{World, eventually};
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::setup::{DEADLINE, Repos, create_users, settings, users};

type User = (i64, String, i32);

/// The position's place in the log.
fn lsn(position: Position) -> archipelago_lab::PgLsn {
    position.to_string().rsplit('-').next().unwrap().parse().unwrap()
}

async fn insert(repos: &Repos, name: &str) -> Position {
    let insert =
        diesel::insert_into(users::table).values((users::name.eq(name), users::age.eq(36)));
    repos.primary().execute(insert).await.unwrap().position
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_replica_shows_what_the_primary_commits(world: World) {
    let repos = Repos::connect(&create_users(&world).await.in_region("near")).await.unwrap();
    let position = insert(&repos, "Ada").await;
    world.server("near").unwrap().wait_until_replayed(lsn(position), DEADLINE).await.unwrap();

    assert!(repos.replica().has_replayed(position).await.unwrap());
    let users: Vec<User> = repos.replica().load(users::table.order(users::id)).await.unwrap();
    assert_eq!(users, [(1, "Ada".to_owned(), 36)]);
    assert_eq!(repos.replica().served_by().to_string(), "near; role=replica; reason=local");
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn the_reading_methods(world: World) {
    let repos = Repos::connect(&create_users(&world).await).await.unwrap();
    insert(&repos, "Ada").await;
    insert(&repos, "Grace").await;
    world.catch_up().await.unwrap();
    let far: Replica = repos.replica_in("far");

    let first: User = far.first(users::table.order(users::id.desc())).await.unwrap();
    assert_eq!(first.1, "Grace");
    assert_eq!(far.get_result::<i64>(users::table.count()).await.unwrap(), 2);
    assert_eq!(far.optional::<User>(users::table.find(99)).await.unwrap(), None);
    assert!(far.get_result::<User>(users::table.find(99)).await.unwrap_err().is_not_found());
    let boxed = users::table.filter(users::name.like("A%")).into_boxed();
    assert_eq!(far.load::<User>(boxed).await.unwrap().len(), 1);
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn load_unchecked_takes_raw_sql(world: World) {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Bool)]
        standby: bool,
    }
    let repos = Repos::connect(&create_users(&world).await).await.unwrap();
    let raw = diesel::sql_query("SELECT pg_is_in_recovery() AS standby");
    let rows: Vec<Row> = repos.replica_in("near").load_unchecked(raw.clone()).await.unwrap();
    assert!(rows[0].standby, "the replica's repo is connected to a standby");
    let rows: Vec<Row> = repos.replica_in("home").load_unchecked(raw).await.unwrap();
    assert!(!rows[0].standby);
}

/// Past the types, by `load_unchecked`, on a server that would take writes: one database that plays
/// every region.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_replicas_session_is_read_only(world: World) {
    create_users(&world).await;
    let url = world.primary().url();
    let settings = Settings::single_database::<Repos>(&url).unwrap().in_region("near");
    let repos = Repos::connect(&settings).await.unwrap();

    let write =
        diesel::insert_into(users::table).values((users::name.eq("Mallory"), users::age.eq(1)));
    let refused = repos.replica().load_unchecked::<User>(write).await.unwrap_err();
    assert!(is_read_only(&refused), "{refused}");
    // For the types it is a SELECT, for the server it is a write.
    let hidden =
        diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>("nextval('users_id_seq')"));
    let refused = repos.replica().get_result::<i64>(hidden).await.unwrap_err();
    assert!(is_read_only(&refused), "{refused}");
    // The types do not see a lock inside a subselect either.
    diesel::table! {
        pets (owner) { owner -> BigInt }
    }
    diesel::allow_tables_to_appear_in_same_query!(pets, users);
    repos
        .primary()
        .execute(diesel::sql_query("CREATE TABLE pets (owner bigint PRIMARY KEY)"))
        .await
        .unwrap();
    let locked =
        users::table.filter(users::id.eq_any(pets::table.select(pets::owner).for_update()));
    let refused = repos.replica().load::<User>(locked).await.unwrap_err();
    assert!(is_read_only(&refused), "{refused}");
    assert_eq!(repos.replica_in("home").get_result::<i64>(users::table.count()).await.unwrap(), 0);
}

/// What fails in a far region also fails in the primary's, and on a laptop.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn reads_at_the_primary_are_read_only_too(world: World) {
    let repos = Repos::connect(&create_users(&world).await).await.unwrap();
    assert_eq!(repos.replica().served_by().to_string(), "home; role=primary; reason=primary");
    let write =
        diesel::insert_into(users::table).values((users::name.eq("Mallory"), users::age.eq(1)));
    let refused = repos.replica().load_unchecked::<User>(write).await.unwrap_err();
    assert!(is_read_only(&refused), "{refused}");
}

/// An operator may stop all writes, and a pool for writing respects it.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_read_only_database_takes_no_writes(world: World) {
    let settings = create_users(&world).await;
    let repos = Repos::connect(&settings).await.unwrap();
    let read_only = "DO $$ BEGIN EXECUTE format(
        'ALTER DATABASE %I SET default_transaction_read_only = on', current_database()
    ); END $$";
    repos.primary().execute(diesel::sql_query(read_only)).await.unwrap();
    let later = Repos::connect(&settings).await.unwrap();
    let refused = later.primary().execute(diesel::delete(users::table)).await.unwrap_err();
    assert!(is_read_only(&refused), "{refused}");
    assert!(refused.is_passing() && !refused.is_uncertain());
}

/// A session's parameters in the URL take precedence over those of the pool.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn parameters_of_the_url_take_precedence(world: World) {
    create_users(&world).await;
    let url =
        world.primary().url() + "?options=-c%20statement_timeout%3D1234&application_name=mine";
    let repos = Repos::connect(&Settings::single_database::<Repos>(&url).unwrap()).await.unwrap();
    let setting = async |name: &str| {
        let setting =
            diesel::dsl::sql::<diesel::sql_types::Text>(&format!("current_setting('{name}')"));
        repos.replica_in("near").get_result::<String>(diesel::select(setting)).await.unwrap()
    };
    assert_eq!(setting("statement_timeout").await, "1234ms");
    assert_eq!(setting("application_name").await, "mine");
    assert_eq!(setting("default_transaction_read_only").await, "on");
}

fn is_read_only(error: &Error) -> bool {
    error.code() == Some("25006")
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn the_writing_methods(world: World) {
    let repos = Repos::connect(&create_users(&world).await).await.unwrap();
    let insert =
        diesel::insert_into(users::table).values((users::name.eq("Ada"), users::age.eq(36)));
    let ada =
        repos.primary().get_result::<User>(insert.returning(users::all_columns)).await.unwrap();
    let rename = |id| {
        diesel::update(users::table.find(id)).set(users::name.eq("Countess")).returning(users::name)
    };
    let renamed = repos.primary().optional::<String>(rename(ada.value.0)).await.unwrap();
    assert_eq!(renamed.value.as_deref(), Some("Countess"));
    assert!(renamed.position > ada.position, "positions follow the order of commits");
    assert_eq!(repos.primary().optional::<String>(rename(99)).await.unwrap().value, None);
    assert_eq!(repos.primary().execute(diesel::delete(users::table)).await.unwrap().value, 1);
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_transaction_is_all_or_nothing(world: World) {
    let repos = Repos::connect(&create_users(&world).await).await.unwrap();
    let insert = |name: &'static str| {
        diesel::insert_into(users::table).values((users::name.eq(name), users::age.eq(1)))
    };
    let both = repos
        .primary()
        .transaction(async |connection| {
            insert("Ada").execute(connection).await?;
            insert("Grace").execute(connection).await?;
            Ok::<_, Error>("both")
        })
        .await
        .unwrap();
    assert_eq!(both.value, "both");
    let neither = repos
        .primary()
        .transaction(async |connection| {
            insert("Alan").execute(connection).await?;
            Err::<(), Error>(DieselError::RollbackTransaction.into())
        })
        .await;
    assert!(neither.is_err());
    world.catch_up().await.unwrap();
    assert_eq!(repos.replica_in("near").get_result::<i64>(users::table.count()).await.unwrap(), 2);
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn the_reads_of_a_snapshot_see_one_state(world: World) {
    let repos = Repos::connect(&create_users(&world).await).await.unwrap();
    insert(&repos, "Ada").await;
    world.catch_up().await.unwrap();
    let (before, after) = repos
        .replica_in("near")
        .snapshot(async |snapshot| {
            let before: i64 = snapshot.get_result(users::table.count()).await?;
            insert(&repos, "Grace").await;
            world.catch_up().await.unwrap();
            Ok((before, snapshot.get_result::<i64>(users::table.count()).await?))
        })
        .await
        .unwrap();
    assert_eq!((before, after), (1, 1));
    assert_eq!(repos.replica_in("near").get_result::<i64>(users::table.count()).await.unwrap(), 2);
}

/// After a switch of WAL segments no record ends at the insert position, and an idle primary writes
/// no further record.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn an_idle_replica_reaches_every_position(world: World) {
    let repos = Repos::connect(&create_users(&world).await).await.unwrap();
    for synchronous_commit in ["on", "off"] {
        let url = world.primary().admin_url()
            + &format!("?options=-c%20synchronous_commit%3D{synchronous_commit}");
        let admin =
            Repos::connect(&Settings::single_database::<Repos>(&url).unwrap()).await.unwrap();
        let switch =
            admin.primary().execute(diesel::sql_query("SELECT pg_switch_wal()")).await.unwrap();
        let position = switch.position;
        assert!(
            !position.to_string().ends_with("000028"),
            "{position} is behind the header of a segment, 40 bytes long"
        );
        if synchronous_commit == "on" {
            eventually("the replica reaches the position", DEADLINE, async || {
                repos.replica_in("near").has_replayed(position).await.unwrap()
            })
            .await;
        }
    }
}

/// A commit that is not flushed yet has a position too: the insert position covers it.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn an_asynchronous_commit_has_a_position_that_covers_it(world: World) {
    create_users(&world).await;
    let url = world.primary().url() + "?options=-c%20synchronous_commit%3Doff";
    let repos = Repos::connect(&Settings::single_database::<Repos>(&url).unwrap()).await.unwrap();
    let near = Repos::connect(&settings(&world)).await.unwrap();
    for number in 1..=50 {
        let position = insert(&repos, "Ada").await;
        // Once the replica has reached the position, it shows the row.
        eventually("the replica reaches the position", DEADLINE, async || {
            near.replica_in("near").has_replayed(position).await.unwrap()
        })
        .await;
        assert_eq!(
            near.replica_in("near").get_result::<i64>(users::table.count()).await.unwrap(),
            number
        );
    }
}

/// The same with `SET LOCAL` in one transaction.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn so_does_one_that_only_its_transaction_makes_asynchronous(world: World) {
    let repos = Repos::connect(&create_users(&world).await).await.unwrap();
    for number in 1..=50 {
        let added = repos.primary().transaction(async |connection| {
            connection.batch_execute("SET LOCAL synchronous_commit = off").await?;
            let ada = diesel::insert_into(users::table)
                .values((users::name.eq("Ada"), users::age.eq(36)));
            Ok::<_, Error>(ada.execute(connection).await?)
        });
        let position = added.await.unwrap().position;
        eventually("the replica reaches the position", DEADLINE, async || {
            repos.replica_in("near").has_replayed(position).await.unwrap()
        })
        .await;
        assert_eq!(
            repos.replica_in("near").get_result::<i64>(users::table.count()).await.unwrap(),
            number
        );
    }
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_replica_that_lags_has_not_replayed_the_position(world: World) {
    let repos = Repos::connect(&create_users(&world).await).await.unwrap();
    let near = world.server("near").unwrap();
    near.pause_replay().await.unwrap();
    let position = insert(&repos, "Ada").await;
    assert!(!repos.replica_in("near").has_replayed(position).await.unwrap());
    assert!(
        repos.replica_in("home").has_replayed(position).await.unwrap(),
        "the primary has every position"
    );
    near.resume_replay().await.unwrap();
    near.wait_until_replayed(lsn(position), DEADLINE).await.unwrap();
    assert!(repos.replica_in("near").has_replayed(position).await.unwrap());
}

/// The futures can be spawned on a multi-threaded runtime.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn futures_are_send(world: World) {
    fn spawnable<T: Send>(future: T) -> T {
        future
    }
    let repos = Repos::connect(&create_users(&world).await).await.unwrap();
    let read = spawnable(repos.replica_in("near").load::<User>(users::table.order(users::id)));
    assert!(read.await.unwrap().is_empty());
    spawnable(repos.primary().execute(diesel::delete(users::table))).await.unwrap();
    spawnable(repos.shutdown()).await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_failed_transaction_is_not_committed_by_an_ok_closure(world: World) {
    let repos = Repos::connect(&create_users(&world).await).await.unwrap();
    let swallowed = repos.primary().transaction(async |connection| {
        diesel::insert_into(users::table)
            .values((users::name.eq("Ada"), users::age.eq(36)))
            .execute(connection)
            .await?;
        let _ = diesel::sql_query("SELECT 1 / 0").execute(connection).await;
        Ok::<_, Error>(())
    });
    let error = swallowed.await.unwrap_err();
    assert_eq!(error.code(), Some("25P02"), "{error}");
    assert_eq!(repos.primary().reads().get_result::<i64>(users::table.count()).await.unwrap(), 0);
}

/// Diesel looks up such a type before it sends the statement, and the query for the position must
/// not overtake that statement.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn the_position_covers_a_write_with_a_custom_type(world: World) {
    let settings = create_users(&world).await;
    let repos = Repos::connect(&settings).await.unwrap();
    repos.primary().execute(diesel::sql_query("CREATE TYPE mood AS ENUM ('happy')")).await.unwrap();
    let table = "CREATE TABLE moods (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood mood NOT NULL)";
    repos.primary().execute(diesel::sql_query(table)).await.unwrap();
    repos.shutdown().await;

    // These connections have prepared the query for the position, and do not know the type yet.
    let repos = Repos::connect(&settings.with_pool_size(1)).await.unwrap();
    let before = insert(&repos, "Ada").await;
    let happy = diesel::insert_into(mood::moods::table).values(mood::moods::mood.eq(mood::Happy));
    let position = repos.primary().execute(happy).await.unwrap().position;
    assert!(position > before, "{position} is not after {before}");
}

/// An enum of this database.
mod mood {
    use diesel::pg::Pg;
    use diesel::serialize::{IsNull, Output, Result, ToSql};

    #[derive(diesel::sql_types::SqlType, diesel::query_builder::QueryId)]
    #[diesel(postgres_type(name = "mood"))]
    pub struct Mood;

    #[derive(Debug, diesel::expression::AsExpression)]
    #[diesel(sql_type = Mood)]
    pub struct Happy;

    impl ToSql<Mood, Pg> for Happy {
        fn to_sql(&self, out: &mut Output<Pg>) -> Result {
            std::io::Write::write_all(out, b"happy")?;
            Ok(IsNull::No)
        }
    }

    diesel::table! {
        use diesel::sql_types::BigInt;
        use super::Mood;
        moods (id) { id -> BigInt, mood -> Mood }
    }
}
