//! Data folders: made by `initdb`, `pg_basebackup` and `pg_rewind`, complete or not there at all.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tokio_postgres::types::PgLsn;

use crate::LabError;
use crate::process::{Halt, Launch, POLL, Process};
use crate::scram;
use crate::secrets::{ADMIN, REPLICATOR};
use crate::site::Site;
use crate::stale::UNFINISHED;

/// More than any of the programs takes, even on a busy machine.
const LONGEST: Duration = Duration::from_mins(5);

/// How long a program may go on writing after its watchdog was told to kill it.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Makes the data of a new primary.
pub(crate) async fn init(site: &Site, region: &str) -> Result<(), LabError> {
    let data = site.place.primary();
    let new = unfinished(site, &data)?;
    let password = site.place.home.join("initdb.password");
    site.place.write_private(&password, &scram::verifier(&site.secrets.admin))?;
    let mut arguments = vec!["-D".into(), new.clone().into_os_string()];
    arguments.extend(
        ["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "-U", ADMIN].map(Into::into),
    );
    // What was written is forced to disk later, by the first checkpoint of a server with fsync on.
    arguments.extend(["--no-sync", "--no-instructions", "--pwfile"].map(Into::into));
    arguments.push(password.clone().into_os_string());
    let made = run(site, "initdb", region, arguments, |_| {}).await;
    let _ = fs::remove_file(&password);
    made?;
    replace(&data, &new)
}

/// Makes the data of a new replica: a copy of the running primary.
pub(crate) async fn base_backup(
    site: &Site,
    region: &str,
    data: &Path,
    upstream: u16,
) -> Result<(), LabError> {
    let new = unfinished(site, data)?;
    let mut arguments = vec!["-D".into(), new.clone().into_os_string()];
    arguments.extend(["-h", "127.0.0.1", "-U", REPLICATOR, "-w", "-p"].map(Into::into));
    arguments.push(upstream.to_string().into());
    arguments.extend(["--checkpoint=fast", "--no-sync", "-X", "fetch"].map(Into::into));
    // The environment of a process can be read by its user only, unlike its arguments.
    run(site, "pg_basebackup", region, arguments, |command| {
        command
            .env("PGPASSWORD", &site.secrets.replicator)
            .env("PGSSLMODE", "disable")
            .env("PGGSSENCMODE", "disable");
    })
    .await?;
    replace(data, &new)
}

/// Takes back what this data has and that of the running primary does not, so that it can follow. After a failure, or a
/// crash, there is no data any more: half of both is worse.
pub(crate) async fn rewind(
    site: &Site,
    region: &str,
    data: &Path,
    upstream: u16,
) -> Result<(), LabError> {
    let new = unfinished_name(data);
    remove(&new)?;
    fs::rename(data, &new).map_err(LabError::file("rename", data))?;
    let source = format!(
        "host=127.0.0.1 port={upstream} user={ADMIN} dbname=postgres sslmode=disable gssencmode=disable"
    );
    let mut arguments = vec!["-D".into(), new.clone().into_os_string()];
    arguments.extend(["--no-sync", "--source-server", &source].map(Into::into));
    run(site, "pg_rewind", region, arguments, |command| {
        command.env("PGPASSWORD", &site.secrets.admin);
    })
    .await?;
    replace(data, &new)
}

/// Where the last checkpoint of this data begins: of a server that was stopped in order, the end of its log.
/// (`ControlFileData.checkPoint`, at the same place in all versions that the lab is made for.)
pub(crate) fn last_checkpoint(data: &Path) -> Option<PgLsn> {
    let mut bytes = [0; 40];
    File::open(data.join("global/pg_control")).ok()?.read_exact(&mut bytes).ok()?;
    let (_, checkpoint) = bytes.split_last_chunk()?;
    Some(PgLsn::from(u64::from_ne_bytes(*checkpoint)))
}

/// The number that `initdb` gave to this data and to all its copies. `None`: the data is not
/// complete. (`ControlFileData` in `pg_control.h` begins with it, in every version.)
pub(crate) fn system_identifier(data: &Path) -> Option<u64> {
    let mut bytes = [0; 8];
    File::open(data.join("global/pg_control")).ok()?.read_exact(&mut bytes).ok()?;
    Some(u64::from_ne_bytes(bytes))
}

/// The major version of PostgreSQL that made this data.
pub(crate) fn made_with(data: &Path) -> Option<u32> {
    fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().parse().ok()
}

/// An empty folder of the servers' user; what a killed run left of an earlier one is removed.
fn unfinished(site: &Site, data: &Path) -> Result<PathBuf, LabError> {
    let path = unfinished_name(data);
    remove(&path)?;
    fs::create_dir(&path)
        .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o700)))
        .and_then(|()| site.place.account.own(&path))
        .map_err(LabError::file("make the folder", &path))?;
    Ok(path)
}

/// Another name in every process: a program of a killed run may have a moment to live.
fn unfinished_name(data: &Path) -> PathBuf {
    let mut name = data.as_os_str().to_owned();
    name.push(format!("{UNFINISHED}{}", std::process::id()));
    PathBuf::from(name)
}

/// What was there before goes only when there is something better.
fn replace(data: &Path, new: &Path) -> Result<(), LabError> {
    remove(data)?;
    fs::rename(new, data).map_err(LabError::file("rename", new))
}

/// Removes a folder with data, if it is there.
pub(crate) fn remove(folder: &Path) -> Result<(), LabError> {
    let since = Instant::now();
    loop {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            // A program of a killed run, itself about to be killed, has just made another file.
            Err(error)
                if error.kind() == ErrorKind::DirectoryNotEmpty && since.elapsed() < LAST_WORDS =>
            {
                std::thread::sleep(POLL);
            }
            removed => return removed.map_err(LabError::file("remove", folder)),
        }
    }
}

async fn run(
    site: &Site,
    program: &'static str,
    region: &str,
    arguments: Vec<std::ffi::OsString>,
    adjust: impl FnOnce(&mut Command),
) -> Result<(), LabError> {
    let log = site.place.log(region);
    let logged = log.metadata().map_or(0, |log| log.len());
    let path = site.postgres.bin().join(program);
    let mut process = Launch {
        account: &site.place.account,
        program: &path,
        folder: &site.place.home,
        log: site.place.open_log(region)?,
        at_end: Halt::Kill,
        sweeper: site.place.sweeper.as_ref(),
    }
    .spawn(arguments, adjust)
    .map_err(|source| LabError::Run { program: path.clone(), source })?;
    let status = finish(&mut process).await;
    if status.is_some_and(|status| status.success()) {
        return Ok(());
    }
    let tail = crate::machine::log::tail(&log, logged);
    Err(LabError::Program { program, region: region.to_owned(), status, tail })
}

async fn finish(process: &mut Process) -> Option<std::process::ExitStatus> {
    let since = Instant::now();
    while since.elapsed() < LONGEST {
        if let Some(status) = process.exited() {
            return Some(status);
        }
        tokio::time::sleep(POLL).await;
    }
    None
}
