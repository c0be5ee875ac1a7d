//! `PgBouncer` between the program and its database: refused before it hands settings of ours to other
//! programs, unless it keeps a server for each session.

use std::fs::{self, Permissions};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};

use archipelago::{DatabaseUrl, DownReason, Error, NotServed, RepoSet, Settings, connect};
use archipelago_lab::{World, eventually};
use diesel::prelude::*;
use diesel::sql_types::{Integer, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use tempfile::TempDir;

use super::setup::{DEADLINE, HOUR, Repos, create_users, users};

/// A running `PgBouncer`.
struct Pooler {
    process: Child,
    /// What leads through it to the primary.
    url: String,
    _folder: TempDir,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A pooler before the primary; None where none is installed.
async fn pooler(world: &World, mode: &str) -> Option<Pooler> {
    let direct: tokio_postgres::Config = world.primary().url().parse().unwrap();
    let (user, database) = (direct.get_user().unwrap(), direct.get_dbname().unwrap());
    let password = std::str::from_utf8(direct.get_password().unwrap()).unwrap();
    let server = direct.get_ports()[0];
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let users = file("users.txt", format!("\"{user}\" \"{password}\"\n"));
    let settings = file(
        "pgbouncer.ini",
        format!(
            "[databases]
             {database} = host=127.0.0.1 port={server} dbname={database}
             [pgbouncer]
             listen_addr = 127.0.0.1
             listen_port = {port}
             unix_socket_dir =
             auth_type = plain
             auth_file = {}
             pool_mode = {mode}
             default_pool_size = 10",
            users.display()
        )
        .replace("             ", ""),
    );
    let mut command = Command::new("pgbouncer");
    // It does not run as root, whose folder this is then.
    if fs::metadata(folder.path()).unwrap().uid() == 0 {
        command.args(["-u", "nobody"]);
    }
    let started = command.arg(settings).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let process = match started {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("skipped: PgBouncer is not installed");
            return None;
        }
        started => started.unwrap(),
    };
    let url = format!("postgres://{user}:{password}@127.0.0.1:{port}/{database}");
    let pooler = Pooler { process, url, _folder: folder };
    eventually("the pooler listens", DEADLINE, async || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    })
    .await;
    Some(pooler)
}

/// What another program finds on each of several connections through the pooler.
async fn settings_of_others(pooler: &Pooler) -> Vec<(String, String)> {
    diesel::define_sql_function! { fn current_setting(name: Text) -> Text; }

    let mut found = Vec::new();
    for _ in 0..10 {
        let mut other = AsyncPgConnection::establish(&pooler.url).await.unwrap();
        let both = (
            current_setting("default_transaction_read_only"),
            current_setting("statement_timeout"),
        );
        found.push(diesel::select(both).get_result(&mut other).await.unwrap());
    }
    found.dedup();
    found
}

fn untouched() -> Vec<(String, String)> {
    vec![("off".to_owned(), "0".to_owned())]
}

async fn assert_refused(world: &World, mode: &str) {
    let Some(pooler) = pooler(world, mode).await else { return };
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
    assert_eq!(settings_of_others(&pooler).await, untouched());
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
    let Some(pooler) = pooler(&world, "session").await else { return };
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
    assert_eq!(settings_of_others(&pooler).await, untouched());
}
