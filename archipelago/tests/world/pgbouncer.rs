//! `PgBouncer` before the primary. The tests of the app start it too.

use std::fs::{self, Permissions};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use archipelago_lab::{World, eventually};
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(30);

/// Fails where a setting of ours has stayed. In one message, as the next may reach another server.
const UNTOUCHED: &str = "DO $$ BEGIN
    ASSERT current_setting('default_transaction_read_only') = 'off', 'default_transaction_read_only';
    ASSERT current_setting('statement_timeout') = '0', 'statement_timeout';
    ASSERT current_setting('lock_timeout') = '0', 'lock_timeout';
END $$";

/// A running `PgBouncer`.
pub struct Pooler {
    process: Child,
    /// What leads through it to the primary.
    pub url: String,
    _folder: TempDir,
}

impl Pooler {
    /// Another program finds no setting of ours, on several connections.
    pub async fn assert_untouched(&self) {
        for _ in 0..10 {
            let mut other = AsyncPgConnection::establish(&self.url).await.unwrap();
            other.batch_execute(UNTOUCHED).await.unwrap();
        }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A pooler before the primary, with `extra` settings; None where none is installed.
pub async fn pooler(world: &World, mode: &str, extra: &str) -> Option<Pooler> {
    let direct = world.primary().url();
    let (_, parts) = direct.split_once("//").unwrap();
    let (login, server) = parts.split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let (address, database) = server.split_once('/').unwrap();
    let (host, server) = address.split_once(':').unwrap();
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
             {database} = host={host} port={server} dbname={database}
             [pgbouncer]
             listen_addr = 127.0.0.1
             listen_port = {port}
             unix_socket_dir =
             auth_type = plain
             auth_file = {}
             pool_mode = {mode}
             default_pool_size = 10
             {extra}",
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
