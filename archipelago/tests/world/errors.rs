//! What an error is: told by its SQLSTATE, and what becomes of the read or the write.

use std::time::Duration;

use archipelago::{Error, NotServed, Reason, RepoSet, Settings, Timeouts};
use archipelago_lab::{World, eventually};
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::{define_sql_function, sql_query};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::relay::Relay;
use super::setup::{DEADLINE, HOUR, Repos, admin, alter_database, create_users, users};

define_sql_function! {
    /// Fails with this SQLSTATE and message.
    fn fail(code: Text, message: Text) -> BigInt;
}
define_sql_function! {
    /// Fails with this SQLSTATE where it runs on a replica; else returns 1.
    fn fail_at_replicas(code: Text) -> BigInt;
}
define_sql_function! { fn nextval(name: Text) -> BigInt; }
define_sql_function! {
    /// Ends the session that asks.
    fn end_session() -> BigInt;
}

const FUNCTIONS: [&str; 3] = [
    "CREATE FUNCTION fail(code text, message text) RETURNS bigint LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '%', message USING ERRCODE = code; END $$",
    "CREATE FUNCTION fail_at_replicas(code text) RETURNS bigint LANGUAGE plpgsql AS
        $$ BEGIN
            IF pg_is_in_recovery() THEN RAISE EXCEPTION 'no' USING ERRCODE = code; END IF;
            RETURN 1;
        END $$",
    "CREATE FUNCTION end_session() RETURNS bigint LANGUAGE sql AS
        $$ SELECT pg_terminate_backend(pg_backend_pid())::int::bigint $$",
];

/// The table of users and the functions, seen from near.
async fn create(world: &World) -> Settings {
    let settings = create_users(world).await.with_max_lag(HOUR).in_region("near");
    let repos = Repos::connect(&settings).await.unwrap();
    for function in FUNCTIONS {
        repos.primary().execute(sql_query(function)).await.unwrap();
    }
    repos.shutdown().await;
    world.catch_up().await.unwrap();
    settings
}

/// The repos, once a read is served by near.
async fn connected(settings: &Settings) -> Repos {
    let repos = Repos::connect(settings).await.unwrap();
    eventually("the replica serves", DEADLINE, async || {
        let read = repos.replica().load_served::<i64>(users::table.count()).await;
        read.is_ok_and(|read| read.served_by.reason == Reason::Local)
    })
    .await;
    repos
}

/// The databases to which this process has connections for reading.
fn read_from(repos: &Repos) -> Vec<&'static str> {
    let open = repos.pools().filter(|pool| pool.state().connections > 0);
    open.filter(|pool| pool.access().as_str() == "read").map(|pool| pool.info().code).collect()
}

async fn insert(repos: &Repos) -> Result<String, Error> {
    let ada = diesel::insert_into(users::table).values((users::name.eq("Ada"), users::age.eq(36)));
    Ok(repos.primary().get_result::<String>(ada.returning(users::name)).await?.value)
}

async fn insert_in(connection: &mut diesel_async::AsyncPgConnection) -> Result<usize, Error> {
    let ada = diesel::insert_into(users::table).values((users::name.eq("Ada"), users::age.eq(36)));
    Ok(ada.execute(connection).await?)
}

async fn execute(repos: &Repos, sql: &str) {
    repos.primary().execute(sql_query(sql)).await.unwrap();
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn the_sqlstate_decides_whatever_the_words_say(world: World) {
    let repos = connected(&create(&world).await).await;
    // The code, words that say something else, and whether it is passing.
    for (code, words, is_passing) in [
        ("57014", "Anweisung wird abgebrochen", true),
        ("40001", "konnte Zugriff nicht serialisieren", true),
        ("40P01", "Verklemmung", true),
        ("55P03", "gesperrt", true),
        ("53200", "Speicher aufgebraucht", true),
        ("P0001", "canceling statement due to statement timeout", false),
        ("22012", "terminating connection due to administrator command", false),
        ("23514", "the database system is starting up", false),
    ] {
        let statement = || diesel::select(fail(code, words));
        let written = repos.primary().get_result::<i64>(statement()).await.unwrap_err();
        let in_transaction = repos.primary().transaction(async |connection| {
            Ok::<_, Error>(statement().get_result::<i64>(connection).await?)
        });
        for error in [written, in_transaction.await.unwrap_err()] {
            assert_eq!(error.code(), Some(code), "{error}");
            assert_eq!(error.is_passing(), is_passing, "{error}");
            assert!(!error.is_uncertain(), "the server undid it: {error}");
        }
        let read = repos.repo_near().reads().get_result::<i64>(statement()).await.unwrap_err();
        let in_snapshot = repos
            .repo_near()
            .reads()
            .snapshot(async |snapshot| snapshot.get_result::<i64>(statement()).await);
        for error in [read, in_snapshot.await.unwrap_err()] {
            assert_eq!((error.code(), error.is_passing()), (Some(code), is_passing), "{error}");
        }
    }
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_violated_constraint_is_named(world: World) {
    let repos = connected(&create(&world).await).await;
    execute(&repos, "ALTER TABLE users ADD CONSTRAINT one_name UNIQUE (name)").await;
    insert(&repos).await.unwrap();
    let refused = insert(&repos).await.unwrap_err();
    assert_eq!((refused.code(), refused.constraint()), (Some("23505"), Some("one_name")));
    assert!(!refused.is_passing() && !refused.is_uncertain(), "{refused}");
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_read_that_writes_fails_where_it_is(world: World) {
    let repos = connected(&create(&world).await).await;
    let before = read_from(&repos);
    let next = || diesel::select(nextval("users_id_seq"));
    let single = repos.replica().get_result::<i64>(next()).await.unwrap_err();
    let unchecked = repos.replica().load_unchecked::<i64>(next()).await.unwrap_err();
    let snapshot =
        repos.replica().snapshot(async |snapshot| snapshot.get_result::<i64>(next()).await);
    for error in [single, unchecked, snapshot.await.unwrap_err()] {
        assert_eq!(error.code(), Some("25006"), "{error}");
        assert!(!error.is_passing() && error.retry_after().is_none(), "{error}");
        assert!(error.to_string().contains("SELECT nextval($1)"), "{error}");
        assert!(!error.to_string().contains("users_id_seq"), "no value is shown: {error}");
    }
    assert_eq!(read_from(&repos), before, "no other database was asked");
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_cancelled_read_is_asked_nowhere_else(world: World) {
    let repos = connected(&create(&world).await).await;
    let before = read_from(&repos);
    let cancelled = repos.replica().get_result::<i64>(diesel::select(fail_at_replicas("57014")));
    let error = cancelled.await.unwrap_err();
    assert!(error.code() == Some("57014") && error.is_passing(), "{error}");
    assert_eq!(read_from(&repos), before, "no other database was asked");
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_conflict_at_the_replicas_is_asked_everywhere(world: World) {
    let repos = connected(&create(&world).await).await;
    for code in ["40001", "40P01"] {
        let conflict = diesel::select(fail_at_replicas(code));
        let read = repos.replica().load_served::<i64>(conflict).await.unwrap();
        assert_eq!((read.served_by.region, read.served_by.reason), ("home", Reason::Failover));
        let conflict = repos.replica().snapshot(async |snapshot| {
            snapshot.get_result::<i64>(diesel::select(fail_at_replicas(code))).await
        });
        assert_eq!(conflict.await.unwrap(), 1);
    }
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_read_that_ends_its_session_ends_two_at_most(world: World) {
    let repos = connected(&create(&world).await).await;
    let before = read_from(&repos);
    let deadly = || diesel::select(end_session());
    let single = repos.replica().get_result::<i64>(deadly()).await.unwrap_err();
    let unchecked = repos.replica().load_unchecked::<i64>(deadly()).await.unwrap_err();
    let snapshot =
        repos.replica().snapshot(async |snapshot| snapshot.get_result::<i64>(deadly()).await);
    for error in [single, unchecked, snapshot.await.unwrap_err()] {
        let Error::NotServed { tried } = &error else { panic!("{error}") };
        let regions: Vec<_> = tried.iter().map(|tried| tried.region).collect();
        assert_eq!(regions, ["near", "far"], "{error}");
        assert_eq!((error.code(), error.is_passing()), (Some("57P01"), true), "{error}");
    }
    let is_asked = |read_from: Vec<&str>| read_from.contains(&"home");
    assert_eq!(is_asked(read_from(&repos)), is_asked(before), "the primary was not asked");
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_write_whose_session_is_ended_is_uncertain(world: World) {
    let repos = connected(&create(&world).await).await;
    let error = repos.primary().get_result::<i64>(diesel::select(end_session())).await.unwrap_err();
    assert_eq!(error.code(), Some("57P01"), "{error}");
    assert!(error.is_passing() && error.is_uncertain(), "{error}");
    insert(&repos).await.unwrap();
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn what_breaks_before_the_commit_is_certain(world: World) {
    let short = Timeouts::default().with_transaction(Duration::from_millis(200)).unwrap();
    let settings = create(&world).await;
    let repos = connected(&settings).await;
    let broken = repos.primary().transaction(async |connection| {
        insert_in(connection).await?;
        diesel::select(end_session()).get_result::<i64>(connection).await?;
        // Its own answer may have overtaken the end.
        insert_in(connection).await
    });
    let error = broken.await.unwrap_err();
    assert_eq!(error.code(), Some("57P01"), "{error}");
    assert!(error.is_passing() && !error.is_uncertain(), "{error}");

    let hasty = connected(&settings.with_timeouts(short)).await;
    let late = hasty.primary().transaction(async |connection| {
        insert_in(connection).await?;
        std::future::pending::<Result<(), Error>>().await
    });
    let error = late.await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.is_passing() && !error.is_uncertain(), "{error}");
    let count = repos.primary().reads().get_result::<i64>(users::table.count());
    assert_eq!(count.await.unwrap(), 0);
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn reads_behind_a_deadly_one_stay_where_they_are(world: World) {
    let repos = connected(&create(&world).await).await;
    let deadly = repos.replica().get_result::<i64>(diesel::select(end_session()));
    let behind = || repos.replica().load_served::<i64>(users::table.count());
    let (deadly, one, other) = tokio::join!(deadly, behind(), behind());
    assert_eq!(deadly.unwrap_err().code(), Some("57P01"));
    for read in [one, other] {
        let served_by = read.unwrap().served_by;
        assert_eq!((served_by.region, served_by.reason), ("near", Reason::Local));
    }
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn an_error_names_every_region_that_was_tried(world: World) {
    let repos = connected(&create(&world).await).await;
    for server in world.servers() {
        server.kill().await.unwrap();
    }
    let error = eventually("each region is known to be down", DEADLINE, async || {
        let error = repos.replica().load::<i64>(users::table.count()).await.unwrap_err();
        let Error::NotServed { tried } = &error else { return None };
        let regions: Vec<_> = tried.iter().map(|tried| tried.region).collect();
        let is_down = tried.iter().all(|tried| matches!(tried.reason, NotServed::Down(_)));
        (regions == ["near", "far", "home"] && is_down).then_some(error)
    })
    .await;
    for region in ["`near` cannot be reached (", "`far` cannot", "`home` cannot"] {
        assert!(error.to_string().contains(region), "{error}");
    }
    assert!(error.is_passing() && !error.is_uncertain());
}

mod stale {
    //! Plans and types that a session keeps while the database changes.

    use super::super::moods::{CREATE_TABLE, CREATE_TYPE, Happy, moods};
    use super::*;

    const RECREATE: [&str; 4] = [
        "ALTER TABLE moods ALTER mood TYPE text",
        "DROP TYPE mood",
        "CREATE TYPE mood AS ENUM ('sad', 'happy')",
        "ALTER TABLE moods ALTER mood TYPE mood USING mood::mood",
    ];

    async fn change_type(world: &World, repos: &Repos, length: u32) {
        let alter = format!("ALTER TABLE users ALTER COLUMN name TYPE varchar({length})");
        execute(repos, &alter).await;
        world.catch_up().await.unwrap();
    }

    /// A snapshot from before the change would see the rewritten table empty: see
    /// <https://www.postgresql.org/docs/current/mvcc-caveats.html>.
    #[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
    async fn a_read_that_waits_for_a_rewritten_table_sees_its_rows(world: World) {
        let repos = connected(&create(&world).await).await;
        insert(&repos).await.unwrap();
        let count = || repos.repo_home().reads().get_result::<i64>(users::table.count());
        let before = count().await.unwrap();
        let mut admin = admin(&world, "home").await;
        let alter = "BEGIN; ALTER TABLE users ALTER COLUMN age TYPE bigint";
        admin.batch_execute(alter).await.unwrap();
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let commit = async {
            eventually("the read waits", DEADLINE, async || {
                let waiting = diesel::dsl::sql::<diesel::sql_types::BigInt>(waiting);
                waiting.get_result::<i64>(&mut admin).await.unwrap() == 1
            })
            .await;
            admin.batch_execute("COMMIT").await.unwrap();
        };
        let (counted, ()) = tokio::join!(count(), commit);
        assert_eq!(counted.unwrap(), before);
    }

    #[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
    async fn an_altered_column_shows_in_no_read_and_no_write(world: World) {
        let repos = connected(&create(&world).await).await;
        let names = || users::table.select(users::name);
        let read = async || {
            let read = repos.replica().load_served::<String>(names()).await.unwrap();
            assert_eq!(read.served_by.region, "near", "it is asked again here");
            repos.replica().load_unchecked::<String>(names()).await.unwrap();
            let snapshot = async |snapshot: &mut archipelago::Snapshot<'_>| {
                snapshot.load::<String>(names()).await
            };
            repos.replica().snapshot(snapshot).await.unwrap();
        };
        for length in 100..105 {
            read().await;
            insert(&repos).await.unwrap();
            change_type(&world, &repos, length).await;
        }
        read().await;
        insert(&repos).await.unwrap();
    }

    #[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
    async fn many_reads_at_once_survive_an_altered_column(world: World) {
        let repos = connected(&create(&world).await).await;
        let read = async || repos.replica().load::<String>(users::table.select(users::name)).await;
        let crowd = || futures_util::future::join_all((0..50).map(|_| read()));
        for length in 100..103 {
            assert!(crowd().await.iter().all(Result::is_ok));
            change_type(&world, &repos, length).await;
            let failed: Vec<_> = crowd().await.into_iter().filter_map(Result::err).collect();
            assert!(failed.is_empty(), "{failed:?}");
        }
    }

    #[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
    async fn a_recreated_enum_shows_in_no_read_and_no_write(world: World) {
        let repos = connected(&create(&world).await).await;
        execute(&repos, CREATE_TYPE).await;
        execute(&repos, CREATE_TABLE).await;
        world.catch_up().await.unwrap();
        let write = async || {
            let insert = diesel::insert_into(moods::table).values(moods::mood.eq(Happy));
            repos.primary().execute(insert).await.map(|written| written.value)
        };
        let by_mood = async || {
            let query = moods::table.filter(moods::mood.eq(Happy)).count();
            repos.replica().get_result::<i64>(query).await
        };
        let by_list = async || {
            let query = moods::table.filter(moods::mood.eq_any([Happy])).count();
            repos.replica().get_result::<i64>(query).await
        };
        // Its first use is after the change: the type alone is known from before.
        let new_query = async |repos: &Repos| {
            let query = moods::table.filter(moods::mood.ne(Happy)).count();
            repos.replica().get_result::<i64>(query).await
        };
        let all = async || repos.replica().load::<Happy>(moods::table.select(moods::mood)).await;
        for _ in 0..2 {
            write().await.unwrap();
            for step in RECREATE {
                execute(&repos, step).await;
            }
            world.catch_up().await.unwrap();
            assert_eq!(new_query(&repos).await.unwrap(), 0);
            by_mood().await.unwrap();
            by_list().await.unwrap();
            all().await.unwrap();
            write().await.unwrap();
        }
    }

    #[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
    async fn a_transaction_may_be_run_again(world: World) {
        let repos = connected(&create(&world).await).await;
        let names = async || {
            let read = async |connection: &mut diesel_async::AsyncPgConnection| {
                Ok::<_, Error>(users::table.select(users::name).load::<String>(connection).await?)
            };
            repos.primary().transaction(read).await.map(|read| read.value)
        };
        names().await.unwrap();
        change_type(&world, &repos, 100).await;
        let stale = names().await.unwrap_err();
        assert_eq!(stale.code(), Some("0A000"), "{stale}");
        assert!(stale.is_passing() && !stale.is_uncertain(), "{stale}");
        names().await.unwrap();
    }
}

mod idle {
    //! Sessions that the server ends while they are idle.

    use super::*;

    /// Lets the server end the idle sessions of the pools while their last words are under way.
    async fn end_idle_sessions(world: &World, relay: &Relay) {
        let admin = world.primary().client().await.unwrap();
        relay.hold_answers(true);
        let sessions = "SELECT count(*) FROM pg_stat_activity
            WHERE application_name = 'archipelago' AND datname = $1";
        let url = world.primary().url();
        let database = url.rsplit('/').next().unwrap();
        eventually("the idle sessions are ended", DEADLINE, async || {
            admin.query_one(sessions, &[&database]).await.unwrap().get::<_, i64>(0) == 0
        })
        .await;
    }

    #[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
    async fn what_meets_an_ended_session_is_sent_again(world: World) {
        create(&world).await;
        let (relay, url) = Relay::start(&world.primary().url()).await;
        let url = url + "?options=-c%20idle_session_timeout%3D300";
        let repos =
            Repos::connect(&Settings::single_database::<Repos>(&url).unwrap()).await.unwrap();
        for round in 0..3 {
            insert(&repos).await.unwrap();
            repos.replica().load::<i64>(users::table.count()).await.unwrap();
            end_idle_sessions(&world, &relay).await;
            let write = async {
                match round {
                    0 => insert(&repos).await,
                    _ => {
                        let count = async |connection: &mut diesel_async::AsyncPgConnection| {
                            let count = users::table.count().get_result::<i64>(connection).await?;
                            Ok::<_, Error>(count.to_string())
                        };
                        repos.primary().transaction(count).await.map(|counted| counted.value)
                    }
                }
            };
            let read = repos.replica().load::<i64>(users::table.count());
            let release = async {
                // Behind the first polls of the others, which send on the ended connections.
                tokio::task::yield_now().await;
                relay.hold_answers(false);
            };
            let (written, read, ()) = tokio::join!(write, read, release);
            written.unwrap();
            read.unwrap();
        }
    }
}

mod vanished {
    //! Connections whose packets are lost while the server answers on others.

    use super::*;

    #[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
    async fn a_read_on_a_vanished_connection_is_asked_again(world: World) {
        let (relay, url) = Relay::start(&world.server("near").unwrap().url()).await;
        // None of our own limits ends the wait.
        let patient = Timeouts::default().with_statement(Duration::from_mins(10)).unwrap();
        let settings = create(&world).await.with_url("near", &url).unwrap().with_timeouts(patient);
        let repos = connected(&settings).await;
        relay.lose_open_connections();
        let read = repos.replica().load_served::<i64>(users::table.count());
        let read = tokio::time::timeout(DEADLINE, read).await.expect("the read ends").unwrap();
        assert_eq!(read.served_by.region, "near");
    }

    #[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
    async fn a_long_answer_on_a_slow_line_is_not_lost(world: World) {
        define_sql_function! { fn repeat(text: Text, count: diesel::sql_types::Integer) -> Text; }
        let (relay, url) = Relay::start(&world.server("near").unwrap().url()).await;
        let patient = Timeouts::default().with_statement(Duration::from_mins(1)).unwrap();
        let settings = create(&world).await.with_url("near", &url).unwrap().with_timeouts(patient);
        let repos = connected(&settings).await;
        relay.slow_down();
        let long = repos.replica().load_served::<String>(diesel::select(repeat("x", 3 << 20)));
        let read = long.await.unwrap();
        assert_eq!((read.value[0].len(), read.served_by.region), (3 << 20, "near"));
        assert_eq!(relay.long_answers(), 1, "it was asked once");
    }

    #[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
    async fn a_slow_read_runs_once(world: World) {
        define_sql_function! { fn slow() -> BigInt; }
        let settings = create(&world).await;
        let repos = connected(&settings).await;
        execute(
            &repos,
            "CREATE FUNCTION slow() RETURNS bigint LANGUAGE sql AS
                'SELECT count(*) FROM pg_sleep(4)'",
        )
        .await;
        world.catch_up().await.unwrap();
        let running = "SELECT count(*) FROM pg_stat_activity
            WHERE state = 'active' AND query LIKE '%slow()%' AND pid <> pg_backend_pid()";
        let admin = world.server("near").unwrap().client().await.unwrap();
        let slow = repos.replica().get_result::<i64>(diesel::select(slow()));
        let mut slow = std::pin::pin!(slow);
        let mut most = 0;
        let answer = loop {
            tokio::select! {
                answer = &mut slow => break answer,
                count = admin.query_one(running, &[]) => most = most.max(count.unwrap().get(0)),
            }
        };
        assert_eq!((answer.unwrap(), most), (1, 1_i64), "the server still works on it");
    }
}

mod roles {
    //! What an operator has set for a role or a database.

    use super::*;

    #[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
    async fn a_default_of_serializable_takes_no_replica_away(world: World) {
        let settings = create(&world).await;
        alter_database(&world, "SET default_transaction_isolation = ''serializable''").await;
        let later = connected(&settings).await;
        assert_eq!(later.replica().load::<i64>(users::table.count()).await.unwrap(), [0]);
        later.replica().load_unchecked::<i64>(users::table.count()).await.unwrap();
        insert(&later).await.unwrap();
    }

    #[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
    async fn the_smaller_statement_timeout_counts(world: World) {
        let settings = create(&world).await;
        for (set, expected) in [("''2 s''", "2s"), ("''1 h''", "10s"), ("0", "10s")] {
            alter_database(&world, &format!("SET statement_timeout = {set}")).await;
            let later = connected(&settings).await;
            let shown = diesel::dsl::sql::<Text>("current_setting('statement_timeout')");
            let read = later.replica().load::<String>(diesel::select(shown.clone())).await;
            let written = later.primary().get_result::<String>(diesel::select(shown)).await;
            assert_eq!(read.unwrap(), [expected]);
            assert_eq!(written.unwrap().value, expected);
        }
        let own = ["home", "near", "far"].into_iter().fold(settings.clone(), |settings, region| {
            let url = settings.url(region).unwrap().expose().to_owned();
            let url = url + "?options=-c%20statement_timeout%3D1h";
            settings.with_url(region, &url).unwrap()
        });
        let own = connected(&own).await;
        let shown = diesel::dsl::sql::<Text>("current_setting('statement_timeout')");
        let read = own.replica().load::<String>(diesel::select(shown.clone())).await;
        let written = own.primary().get_result::<String>(diesel::select(shown)).await;
        assert_eq!((read.unwrap(), &*written.unwrap().value), (vec!["1h".to_owned()], "1h"));
    }
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn errors_over_a_unix_socket_have_their_code(world: World) {
    let folder = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open).unwrap();
    create(&world).await;
    let primary = world.primary();
    let admin = Settings::single_database::<Repos>(&primary.admin_url()).unwrap();
    let set = format!("ALTER SYSTEM SET unix_socket_directories = '{}'", folder.path().display());
    execute(&Repos::connect(&admin).await.unwrap(), &set).await;
    primary.stop().await.unwrap();
    primary.start().await.unwrap();
    let admin = Repos::connect(&admin).await.unwrap();
    let allow = "COPY (SELECT 'local all all trust') TO PROGRAM 'cat >> pg_hba.conf'";
    execute(&admin, allow).await;
    execute(&admin, "SELECT pg_reload_conf()").await;

    let url = primary.url();
    let (_, database) = url.rsplit_once('/').unwrap();
    let (folder, port) = (folder.path().display(), primary.port());
    let url = format!("postgres:///{database}?user=app&host={folder}&port={port}");
    let repos = Repos::connect(&Settings::single_database::<Repos>(&url).unwrap()).await.unwrap();
    let failing = || diesel::select(fail("57014", "no"));
    let error = eventually("the socket is open to all", DEADLINE, async || {
        let error = repos.primary().get_result::<i64>(failing()).await.unwrap_err();
        matches!(error, Error::Query(_)).then_some(error)
    });
    assert_eq!(error.await.code(), Some("57014"));
    let error = repos.replica().get_result::<i64>(failing()).await.unwrap_err();
    assert_eq!(error.code(), Some("57014"), "{error}");
}
