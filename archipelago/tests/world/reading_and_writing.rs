//! Reads come from the replica, writes go to the primary, and nothing written through a replica's session arrives.

use archipelago::{Error, Position, Replica, Settings};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::shared::{
    DEADLINE, Repos, catch_up, database, eventually, new_world, settings, shared_world, users,
};

type User = (i64, String, i32);

/// Where in the log.
fn lsn(position: Position) -> archipelago_lab::PgLsn {
    position.to_string().rsplit('-').next().unwrap().parse().unwrap()
}

async fn insert(repos: &Repos, name: &str) -> Position {
    let insert =
        diesel::insert_into(users::table).values((users::name.eq(name), users::age.eq(36)));
    repos.primary().execute(insert).await.unwrap().position.unwrap()
}

#[tokio::test]
async fn what_the_primary_commits_a_replica_shows() {
    let world = shared_world().await;
    let repos = Repos::connect(&database(world, "commits").await.in_region("near")).await.unwrap();
    let position = insert(&repos, "Ada").await;
    world.server("near").unwrap().wait_until_replayed(lsn(position), DEADLINE).await.unwrap();

    assert!(repos.replica().has_replayed(position).await.unwrap());
    let users: Vec<User> = repos.replica().load(users::table.order(users::id)).await.unwrap();
    assert_eq!(users, [(1, "Ada".to_owned(), 36)]);
    assert_eq!(repos.replica().served_by().to_string(), "near; role=replica; reason=local");
}

#[tokio::test]
async fn the_reading_methods() {
    let world = shared_world().await;
    let repos = Repos::connect(&database(world, "reading_methods").await).await.unwrap();
    insert(&repos, "Ada").await;
    insert(&repos, "Grace").await;
    catch_up(world).await;
    let far: Replica = repos.replica_in("far");

    let first: User = far.first(users::table.order(users::id.desc())).await.unwrap();
    assert_eq!(first.1, "Grace");
    assert_eq!(far.get_result::<i64>(users::table.count()).await.unwrap(), 2);
    assert_eq!(far.optional::<User>(users::table.find(99)).await.unwrap(), None);
    assert!(far.get_result::<User>(users::table.find(99)).await.unwrap_err().is_not_found());
    let boxed = users::table.filter(users::name.like("A%")).into_boxed();
    assert_eq!(far.load::<User>(boxed).await.unwrap().len(), 1);
}

#[tokio::test]
async fn raw_sql_and_unions_have_a_door_of_their_own() {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Bool)]
        standby: bool,
    }
    let world = shared_world().await;
    let repos = Repos::connect(&database(world, "raw").await).await.unwrap();
    let raw = diesel::sql_query("SELECT pg_is_in_recovery() AS standby");
    let rows: Vec<Row> = repos.replica_in("near").load_unchecked(raw.clone()).await.unwrap();
    assert!(rows[0].standby, "the replica's repo talks to a standby");
    let rows: Vec<Row> = repos.replica_in("home").load_unchecked(raw).await.unwrap();
    assert!(!rows[0].standby);
    let names = users::table.select(users::name);
    let union: Vec<String> =
        repos.replica_in("near").load_unchecked(names.union(names)).await.unwrap();
    assert!(union.is_empty());
}

/// Around the types, by the raw door, on a database that could well be written: one ordinary one that plays every region.
#[tokio::test]
async fn behind_a_replica_the_session_is_read_only() {
    let world = shared_world().await;
    database(world, "one_database").await;
    let url = world.primary().url_of("one_database");
    let settings = Settings::single_database::<Repos>(&url).unwrap().in_region("near");
    let repos = Repos::connect(&settings).await.unwrap();

    let write =
        diesel::insert_into(users::table).values((users::name.eq("Mallory"), users::age.eq(1)));
    let refused = repos.replica().load_unchecked::<User>(write).await.unwrap_err();
    assert!(is_read_only(&refused), "{refused}");
    // A SELECT to the types, and a write to the server.
    let hidden =
        diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>("nextval('users_id_seq')"));
    let refused = repos.replica().get_result::<i64>(hidden).await.unwrap_err();
    assert!(is_read_only(&refused), "{refused}");
    // A lock inside a subselect, which the types do not see either.
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

/// What fails in a far region fails at home too, and on a laptop.
#[tokio::test]
async fn reads_that_the_primary_serves_are_read_only_as_well() {
    let world = shared_world().await;
    let repos = Repos::connect(&database(world, "reads_at_home").await).await.unwrap();
    assert_eq!(repos.replica().served_by().to_string(), "home; role=primary; reason=primary");
    let write =
        diesel::insert_into(users::table).values((users::name.eq("Mallory"), users::age.eq(1)));
    let refused = repos.replica().load_unchecked::<User>(write).await.unwrap_err();
    assert!(is_read_only(&refused), "{refused}");
}

/// An operator may stop all writes; a pool for writing does not undo it.
#[tokio::test]
async fn a_database_that_was_made_read_only_stays_so() {
    let world = shared_world().await;
    let settings = database(world, "frozen").await;
    let repos = Repos::connect(&settings).await.unwrap();
    repos
        .primary()
        .execute(diesel::sql_query("ALTER DATABASE frozen SET default_transaction_read_only = on"))
        .await
        .unwrap();
    let later = Repos::connect(&settings).await.unwrap();
    let refused = later.primary().execute(diesel::delete(users::table)).await.unwrap_err();
    assert!(is_read_only(&refused), "{refused}");
    assert!(refused.is_passing() && !refused.is_uncertain());
}

/// What the URL says of a session comes before what we would have said.
#[tokio::test]
async fn the_urls_own_parameters_win() {
    let world = shared_world().await;
    database(world, "parameters").await;
    let url = world.primary().url_of("parameters")
        + "?options=-c%20statement_timeout%3D1234&application_name=mine";
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
    matches!(
        error,
        Error::Query(DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _))
    )
}

#[tokio::test]
async fn the_writing_methods() {
    let world = shared_world().await;
    let repos = Repos::connect(&database(world, "writing_methods").await).await.unwrap();
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

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let world = shared_world().await;
    let repos = Repos::connect(&database(world, "transactions").await).await.unwrap();
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
    catch_up(world).await;
    assert_eq!(repos.replica_in("near").get_result::<i64>(users::table.count()).await.unwrap(), 2);
}

#[tokio::test]
async fn the_reads_of_a_snapshot_see_one_state() {
    let world = shared_world().await;
    let repos = Repos::connect(&database(world, "snapshots").await).await.unwrap();
    insert(&repos, "Ada").await;
    catch_up(world).await;
    let (before, after) = repos
        .replica_in("near")
        .snapshot(async |snapshot| {
            let before: i64 = snapshot.get_result(users::table.count()).await?;
            insert(&repos, "Grace").await;
            catch_up(world).await;
            Ok((before, snapshot.get_result::<i64>(users::table.count()).await?))
        })
        .await
        .unwrap();
    assert_eq!((before, after), (1, 1));
    assert_eq!(repos.replica_in("near").get_result::<i64>(users::table.count()).await.unwrap(), 2);
}

/// Behind a switch of segments the insert position lies where no record ends, and an idle primary writes none.
#[tokio::test]
async fn an_idle_replica_reaches_every_position() {
    let world = new_world().await;
    let repos = Repos::connect(&database(&world, "idle").await).await.unwrap();
    for synchronous_commit in ["on", "off"] {
        let url = world.primary().admin_url()
            + &format!("?options=-c%20synchronous_commit%3D{synchronous_commit}");
        let admin =
            Repos::connect(&Settings::single_database::<Repos>(&url).unwrap()).await.unwrap();
        let switch =
            admin.primary().execute(diesel::sql_query("SELECT pg_switch_wal()")).await.unwrap();
        let position = switch.position.unwrap();
        assert!(
            !position.to_string().ends_with("000028"),
            "{position} is behind the header of a segment, 40 bytes long"
        );
        if synchronous_commit == "on" {
            eventually("the replica shows it", async || {
                repos.replica_in("near").has_replayed(position).await.unwrap()
            })
            .await;
        }
    }
}

/// A commit that is not flushed yet has its position all the same: the insert position covers it.
#[tokio::test]
async fn an_asynchronous_commit_has_a_position_that_covers_it() {
    let world = shared_world().await;
    database(world, "asynchronous").await;
    let url = world.primary().url_of("asynchronous") + "?options=-c%20synchronous_commit%3Doff";
    let repos = Repos::connect(&Settings::single_database::<Repos>(&url).unwrap()).await.unwrap();
    let near = Repos::connect(&settings(world, "asynchronous")).await.unwrap();
    for number in 1..=50 {
        let position = insert(&repos, "Ada").await;
        // Whenever the replica says that it has got there, it shows the row.
        eventually("the replica gets there", async || {
            near.replica_in("near").has_replayed(position).await.unwrap()
        })
        .await;
        assert_eq!(
            near.replica_in("near").get_result::<i64>(users::table.count()).await.unwrap(),
            number
        );
    }
}

/// The same where only the transaction was told so.
#[tokio::test]
async fn a_transactions_own_asynchronous_commit_has_one_too() {
    let world = shared_world().await;
    let repos = Repos::connect(&database(world, "asynchronous_once").await).await.unwrap();
    for number in 1..=50 {
        let added = repos.primary().transaction(async |connection| {
            connection.batch_execute("SET LOCAL synchronous_commit = off").await?;
            let ada = diesel::insert_into(users::table)
                .values((users::name.eq("Ada"), users::age.eq(36)));
            Ok::<_, Error>(ada.execute(connection).await?)
        });
        let position = added.await.unwrap().position.unwrap();
        eventually("the replica gets there", async || {
            repos.replica_in("near").has_replayed(position).await.unwrap()
        })
        .await;
        assert_eq!(
            repos.replica_in("near").get_result::<i64>(users::table.count()).await.unwrap(),
            number
        );
    }
}

#[tokio::test]
async fn a_lagging_replica_says_so() {
    let world = new_world().await;
    let repos = Repos::connect(&database(&world, "lag").await).await.unwrap();
    let near = world.server("near").unwrap();
    near.pause_replay().await.unwrap();
    let position = insert(&repos, "Ada").await;
    assert!(!repos.replica_in("near").has_replayed(position).await.unwrap());
    assert!(
        repos.replica_in("home").has_replayed(position).await.unwrap(),
        "the primary shows everything"
    );
    near.resume_replay().await.unwrap();
    near.wait_until_replayed(lsn(position), DEADLINE).await.unwrap();
    assert!(repos.replica_in("near").has_replayed(position).await.unwrap());
}

/// The futures can be spawned on a multi-threaded runtime.
#[tokio::test]
async fn futures_are_send() {
    fn spawnable<T: Send>(future: T) -> T {
        future
    }
    let world = shared_world().await;
    let repos = Repos::connect(&database(world, "send").await).await.unwrap();
    let read = spawnable(repos.replica_in("near").load::<User>(users::table.order(users::id)));
    eprintln!("SIZE load {}", std::mem::size_of_val(&read));
    assert!(read.await.unwrap().is_empty());
    spawnable(repos.primary().execute(diesel::delete(users::table))).await.unwrap();
    spawnable(repos.shutdown()).await;
}

#[tokio::test]
async fn a_transaction_that_failed_is_not_committed_whatever_its_closure_says() {
    let world = shared_world().await;
    let repos = Repos::connect(&database(world, "swallowed").await).await.unwrap();
    let swallowed = repos.primary().transaction(async |connection| {
        diesel::insert_into(users::table)
            .values((users::name.eq("Ada"), users::age.eq(36)))
            .execute(connection)
            .await?;
        let _ = diesel::sql_query("SELECT 1 / 0").execute(connection).await;
        Ok::<_, Error>(())
    });
    let error = swallowed.await.unwrap_err();
    assert!(error.to_string().contains("current transaction is aborted"), "{error}");
    assert_eq!(repos.primary().reads().get_result::<i64>(users::table.count()).await.unwrap(), 0);
}

/// Diesel asks the server for the number of such a type before it sends the statement, and the question for the position must not
/// overtake it.
#[tokio::test]
async fn the_position_is_behind_a_write_with_a_type_of_the_databases_own() {
    let world = new_world().await;
    let settings = database(&world, "types").await;
    let repos = Repos::connect(&settings).await.unwrap();
    repos.primary().execute(diesel::sql_query("CREATE TYPE mood AS ENUM ('happy')")).await.unwrap();
    let table = "CREATE TABLE moods (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood mood NOT NULL)";
    repos.primary().execute(diesel::sql_query(table)).await.unwrap();
    repos.shutdown().await;

    // Connections that know the position's statement, and not yet the type.
    let repos = Repos::connect(&settings.with_pool_size(1)).await.unwrap();
    let before = insert(&repos, "Ada").await;
    let happy = diesel::insert_into(mood::moods::table).values(mood::moods::mood.eq(mood::Happy));
    let position = repos.primary().execute(happy).await.unwrap().position.unwrap();
    assert!(position > before, "{position} is behind {before}");
}

/// A type that only this database has.
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
