//! What visitors notice while the tables change under them: nothing, or a typed error.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use archipelago::{CloseReason, Error, Reason, Replica, RepoSet, Snapshot};
use archipelago_lab::{World, eventually};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Double, Integer};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use tokio::sync::oneshot;

use super::moods::{CREATE_TABLE, CREATE_TYPE, Happy, moods};
use super::setup::{DEADLINE, HOUR, Repos, admin, create_users, users};
use super::traffic::{Visitor, add, among, crowd, forget_noticed, unnoticed, until_all_visit};

diesel::define_sql_function! {
    /// Counts the users, and holds the lock on their table for so long.
    fn count_slowly(seconds: Double) -> BigInt;
}

const COUNT_SLOWLY: &str = "CREATE FUNCTION count_slowly(seconds float8) RETURNS bigint
    LANGUAGE sql AS $$ SELECT count(*) FROM users, pg_sleep(seconds) $$";

/// A program in `near`, and what changes its tables.
struct Program {
    world: World,
    repos: Repos,
}

impl Program {
    async fn start(world: World) -> Self {
        let settings = create_users(&world).await.with_max_lag(HOUR).in_region("near");
        // No session has to make room for another one.
        let settings = settings.with_pool_size(30);
        let program = Self { repos: Repos::connect(&settings).await.unwrap(), world };
        for _ in 0..3 {
            add(&program.repos).await.unwrap();
        }
        program
    }

    /// Makes a change, and waits until every server shows it and each visitor has met it.
    async fn change(&self, visitors: &[Visitor<'_>], statements: &str) {
        let mut admin = admin(&self.world, "home").await;
        admin.batch_execute(statements).await.unwrap();
        self.world.catch_up().await.unwrap();
        until_all_visit(visitors).await;
    }

    /// The sessions of the program, near and at the primary.
    async fn sessions(&self) -> BTreeSet<i32> {
        let mut sessions = BTreeSet::new();
        for region in ["near", "home"] {
            let own = sql::<Integer>(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()
                     AND application_name = 'archipelago' AND usename = 'app'",
            );
            let mut admin = admin(&self.world, region).await;
            sessions.extend(own.load::<i32>(&mut admin).await.unwrap());
        }
        sessions
    }

    /// Asserts that each of these sessions is still there.
    async fn assert_none_ended(&self, sessions: &BTreeSet<i32>) {
        let now = self.sessions().await;
        assert!(sessions.is_subset(&now), "of {sessions:?} are left {now:?}");
    }
}

async fn exists(admin: &mut AsyncPgConnection, condition: &str) -> bool {
    diesel::select(sql::<Bool>(&format!("EXISTS ({condition})"))).get_result(admin).await.unwrap()
}

/// Whether a statement that begins with `begin` waits for a lock at the primary.
async fn waits(admin: &mut AsyncPgConnection, begin: &str) -> bool {
    let condition = format!(
        "SELECT FROM pg_stat_activity WHERE datname = current_database()
             AND wait_event_type = 'Lock' AND query LIKE '{begin}%'"
    );
    exists(admin, &condition).await
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn columns_that_come_and_go_are_not_noticed(world: World) {
    let program = Program::start(world).await;
    let visitors = crowd(&program.repos);
    unnoticed(&visitors, async {
        for _ in 0..3 {
            for change in [
                "ALTER TABLE users ADD COLUMN nick text",
                "ALTER TABLE users ADD COLUMN score bigint NOT NULL DEFAULT 7",
                "ALTER TABLE users DROP COLUMN nick",
                "ALTER TABLE users DROP COLUMN score",
            ] {
                program.change(&visitors, change).await;
            }
        }
    })
    .await;
    let repos = &program.repos;
    for pool in [repos.repo_home().pool(), repos.repo_near().pool()] {
        let counts = pool.counts();
        assert!(counts.stale_plans > 0 && counts.closed(CloseReason::Stale) > 0, "{counts:?}");
    }
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_missing_column_is_a_final_error_of_those_who_name_it(world: World) {
    let program = Program::start(world).await;
    let repos = &program.repos;
    let names = || users::table.select(users::name).limit(10);
    let ages = || users::table.select(users::age).limit(10);
    let naming = [
        Visitor::new("a reader of names near", async || {
            repos.replica().load::<String>(names()).await.map(drop)
        }),
        Visitor::new("a reader of names at the primary", async || {
            repos.repo_home().reads().load::<String>(names()).await.map(drop)
        }),
        Visitor::new("a reader of a snapshot", async || {
            let work = async |snapshot: &mut Snapshot<'_>| snapshot.load::<String>(names()).await;
            repos.replica().snapshot(work).await.map(drop)
        }),
        Visitor::new("a writer of names", async || add(repos).await.map(drop)),
        Visitor::new("a writer of names in a transaction", async || {
            let work = async |connection: &mut AsyncPgConnection| {
                let rename = diesel::update(users::table.filter(users::id.eq(1)));
                Ok::<_, Error>(rename.set(users::name.eq("Grace")).execute(connection).await?)
            };
            repos.primary().transaction(work).await.map(drop)
        }),
    ];
    let others = [
        Visitor::new("a reader of ages near", async || {
            repos.replica().load::<i32>(ages()).await.map(drop)
        }),
        Visitor::new("a reader of ages at the primary", async || {
            repos.repo_home().reads().load::<i32>(ages()).await.map(drop)
        }),
    ];
    let changing = among(&naming, async {
        naming.iter().for_each(Visitor::assert_noticed_nothing);
        let before = program.sessions().await;
        program.change(&naming, "ALTER TABLE users DROP COLUMN name").await;
        for visitor in &naming {
            let noticed = visitor.take_noticed();
            assert!(!noticed.is_empty());
            for error in noticed {
                assert!(matches!(error, Error::Query(_)), "asked nowhere else: {error}");
                assert_eq!(error.code(), Some("42703"), "{error}");
                assert!(!error.is_passing() && !error.is_uncertain(), "{error}");
            }
        }
        program.assert_none_ended(&before).await;
        let add = "ALTER TABLE users ADD COLUMN name text NOT NULL DEFAULT 'Ada'";
        program.change(&naming, add).await;
        forget_noticed(&naming);
        until_all_visit(&naming).await;
        naming.iter().for_each(Visitor::assert_noticed_nothing);
    });
    unnoticed(&others, changing).await;
    let far = repos.pools().find(|pool| pool.info().code == "far").unwrap();
    assert_eq!(far.state().connections, 0, "no read went on to the next region");
}

/// Expand and contract: what queries name stays, as a view or as another table.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_table_that_is_replaced_is_not_noticed(world: World) {
    let program = Program::start(world).await;
    let visitors = crowd(&program.repos);
    unnoticed(&visitors, async {
        for change in [
            "ALTER TABLE users RENAME TO people; CREATE VIEW users AS SELECT * FROM people;
             GRANT ALL ON users TO app",
            "DROP VIEW users; ALTER TABLE people RENAME TO users",
            "CREATE TABLE new (LIKE users INCLUDING ALL);
             LOCK TABLE users;
             INSERT INTO new OVERRIDING SYSTEM VALUE SELECT * FROM users;
             SELECT setval(pg_get_serial_sequence('new', 'id'), max(id)) FROM users;
             GRANT ALL ON new TO app;
             ALTER TABLE users RENAME TO old; ALTER TABLE new RENAME TO users; DROP TABLE old",
        ] {
            program.change(&visitors, &format!("BEGIN; {change}; COMMIT")).await;
        }
    })
    .await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_missing_table_is_a_final_error(world: World) {
    let program = Program::start(world).await;
    let visitors = crowd(&program.repos);
    among(&visitors, async {
        visitors.iter().for_each(Visitor::assert_noticed_nothing);
        let before = program.sessions().await;
        program.change(&visitors, "ALTER TABLE users RENAME TO gone").await;
        for error in visitors.iter().flat_map(Visitor::take_noticed) {
            assert!(matches!(error, Error::Query(_)), "asked nowhere else: {error}");
            assert_eq!(error.code(), Some("42P01"), "{error}");
            assert!(!error.is_passing() && !error.is_uncertain(), "{error}");
        }
        until_all_visit(&visitors).await;
        for visitor in &visitors {
            assert!(!visitor.take_noticed().is_empty());
        }
        program.assert_none_ended(&before).await;
        program.change(&visitors, "ALTER TABLE gone RENAME TO users").await;
        forget_noticed(&visitors);
        until_all_visit(&visitors).await;
        visitors.iter().for_each(Visitor::assert_noticed_nothing);
    })
    .await;
    let far = program.repos.pools().find(|pool| pool.info().code == "far").unwrap();
    assert_eq!(far.state().connections, 0, "no read went on to the next region");
}

/// A snapshot of `reads` that stays open until the sender is used or dropped.
fn held(
    reads: Replica<'_>,
    opened: oneshot::Sender<()>,
    until: oneshot::Receiver<()>,
) -> impl Future<Output = Result<i64, Error>> + '_ {
    let ends = std::rc::Rc::new(RefCell::new(Some((opened, until))));
    reads.snapshot(async move |snapshot: &mut Snapshot<'_>| {
        let (opened, until) = ends.take().expect("it is read once");
        snapshot.get_result::<i64>(users::table.count()).await?;
        let _ = opened.send(());
        let _ = until.await;
        snapshot.get_result::<i64>(users::table.count()).await
    })
}

const INDEX: &str = "CREATE INDEX CONCURRENTLY users_name ON users (name)";
const IS_VALID: &str =
    "SELECT FROM pg_index WHERE indexrelid = to_regclass('users_name') AND indisvalid";

/// It waits for snapshots of the primary, and for no idle session.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn an_index_is_built_concurrently(world: World) {
    let program = Program::start(world).await;
    let repos = &program.repos;
    let mut building = admin(&program.world, "home").await;
    let mut watching = admin(&program.world, "home").await;
    let visitors = crowd(repos);
    unnoticed(&visitors, async {
        let (near_opens, near_is_open) = oneshot::channel();
        let (end_near, until_near) = oneshot::channel();
        let near = held(repos.repo_near().reads(), near_opens, until_near);
        let (home_opens, home_is_open) = oneshot::channel();
        let (end_home, until_home) = oneshot::channel();
        let home = held(repos.repo_home().reads(), home_opens, until_home);
        let build = async {
            near_is_open.await.unwrap();
            home_is_open.await.unwrap();
            building.batch_execute(INDEX).await.unwrap();
            // The snapshot at the replica was open all the time.
            end_near.send(()).unwrap();
        };
        let release = async {
            eventually("the build waits for the snapshot", DEADLINE, async || {
                waits(&mut watching, "CREATE INDEX").await
            })
            .await;
            until_all_visit(&visitors).await;
            end_home.send(()).unwrap();
        };
        let (near, home, (), ()) = tokio::join!(near, home, build, release);
        near.unwrap();
        home.unwrap();
    })
    .await;
    assert!(exists(&mut watching, IS_VALID).await);
}

/// A report is open, and the change waits for it with a `lock_timeout`: all other statements on the
/// table wait behind the change.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_change_that_waits_for_a_lock_is_noticed_at_the_primary_only(world: World) {
    const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
    const ALTER: &str = "ALTER TABLE users ADD COLUMN nick text";
    let program = Program::start(world).await;
    let repos = &program.repos;
    let mut report = admin(&program.world, "home").await;
    let mut altering = admin(&program.world, "home").await;
    let set = format!("SET lock_timeout = {}", LOCK_TIMEOUT.as_millis());
    altering.batch_execute(&set).await.unwrap();
    let names = || users::table.select(users::name).limit(10);
    let near = [
        Visitor::new("a reader near", async || {
            let read = repos.replica().load_served::<String>(names()).await?;
            assert_eq!(read.served_by.reason, Reason::Local);
            Ok(())
        }),
        Visitor::new("a reader of a snapshot near", async || {
            let work = async |snapshot: &mut Snapshot<'_>| snapshot.load::<String>(names()).await;
            repos.replica().snapshot(work).await.map(drop)
        }),
    ];
    let at_the_primary = [
        Visitor::new("a reader at the primary", async || {
            repos.repo_home().reads().load::<String>(names()).await.map(drop)
        }),
        Visitor::new("a writer", async || add(repos).await.map(drop)),
    ];
    let changing = unnoticed(&at_the_primary, async {
        report.batch_execute("BEGIN; SELECT count(*) FROM users").await.unwrap();
        let before: Vec<_> = near.iter().map(Visitor::visits).collect();
        altering.batch_execute(ALTER).await.expect_err("it gives up");
        for (visitor, before) in near.iter().zip(before) {
            let visits = visitor.visits() - before;
            assert!(visits >= 10, "{visits} in a second");
        }
        until_all_visit(&at_the_primary).await;
        for visitor in &at_the_primary {
            let longest = visitor.longest();
            assert!(longest > LOCK_TIMEOUT / 2, "it waited behind the change: {longest:?}");
            assert!(longest < LOCK_TIMEOUT + Duration::from_secs(2), "{longest:?}");
        }
        report.batch_execute("COMMIT").await.unwrap();
        altering.batch_execute(ALTER).await.unwrap();
    });
    unnoticed(&near, changing).await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_new_value_of_an_enum_is_noticed_by_readers_of_its_rows(world: World) {
    let program = Program::start(world).await;
    let repos = &program.repos;
    for statement in [CREATE_TYPE, CREATE_TABLE] {
        repos.primary().execute(sql_query(statement)).await.unwrap();
    }
    program.world.catch_up().await.unwrap();
    let visitors = [
        Visitor::new("a writer", async || {
            let insert = diesel::insert_into(moods::table).values(moods::mood.eq(Happy));
            repos.primary().execute(insert).await.map(drop)
        }),
        Visitor::new("a reader of a count", async || {
            let query = moods::table.filter(moods::mood.eq_any([Happy])).count();
            repos.replica().get_result::<i64>(query).await.map(drop)
        }),
        Visitor::new("a reader of moods", async || {
            let query = moods::table.select(moods::mood).order(moods::id.desc()).limit(5);
            repos.replica().load::<Happy>(query).await.map(drop)
        }),
    ];
    unnoticed(&visitors, async {
        for value in ["calm", "proud"] {
            let add = format!("ALTER TYPE mood ADD VALUE '{value}' BEFORE 'happy'");
            program.change(&visitors, &add).await;
        }
    })
    .await;
    // The change is harmless; a row of a value that the program does not know is not.
    repos.primary().execute(sql_query("INSERT INTO moods (mood) VALUES ('calm')")).await.unwrap();
    program.world.catch_up().await.unwrap();
    let all = moods::table.select(moods::mood);
    let error = repos.replica().load::<Happy>(all).await.unwrap_err();
    assert!(matches!(error, Error::Query(_)) && !error.is_passing(), "{error:?}");
}

/// The replica cancels at once what is in the way of a lock that it replays.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn a_read_that_replay_cancels_is_served_elsewhere(world: World) {
    let program = Program::start(world).await;
    let repos = &program.repos;
    repos.primary().execute(sql_query(COUNT_SLOWLY)).await.unwrap();
    program.world.catch_up().await.unwrap();
    let mut near = admin(&program.world, "near").await;
    near.batch_execute("ALTER SYSTEM SET max_standby_streaming_delay = 0").await.unwrap();
    near.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let setting = "SELECT WHERE current_setting('max_standby_streaming_delay') = '0'";
    eventually("the replica waits for no read", DEADLINE, async || {
        exists(&mut near, setting).await
    })
    .await;

    let slow = || diesel::select(count_slowly(0.02));
    let elsewhere = RefCell::new(Vec::new());
    let visitors = [
        Visitor::new("a reader", async || {
            let read = repos.replica().load_served::<i64>(slow()).await?;
            if read.served_by.reason != Reason::Local {
                elsewhere.borrow_mut().push(read.served_by);
            }
            Ok(())
        }),
        Visitor::new("another reader", async || {
            repos.replica().get_result::<i64>(slow()).await.map(drop)
        }),
        Visitor::new("a reader of a snapshot", async || {
            let work = async |snapshot: &mut Snapshot<'_>| {
                snapshot.get_result::<i64>(users::table.count()).await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
                snapshot.get_result::<i64>(users::table.count()).await
            };
            repos.replica().snapshot(work).await.map(drop)
        }),
    ];
    let conflicts = "(SELECT confl_lock FROM pg_stat_database_conflicts
                      WHERE datname = current_database())";
    unnoticed(&visitors, async {
        eventually("reads are cancelled, and served elsewhere", DEADLINE, async || {
            program.change(&visitors, "ALTER TABLE users ALTER COLUMN age SET DEFAULT 7").await;
            let conflicts = diesel::select(sql::<BigInt>(conflicts));
            let cancelled: i64 = conflicts.get_result(&mut near).await.unwrap();
            elsewhere.borrow().len() >= 3 && cancelled >= 3
        })
        .await;
    })
    .await;
}
