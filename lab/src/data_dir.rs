//! Data folders, made by `initdb`, `pg_basebackup` and `pg_rewind`: each is complete or not there.

pub(crate) mod control_file;

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::LabError;
use crate::cleanup::remove_folder;
use crate::layout::UNFINISHED;
use crate::passwords::{ADMIN, REPLICATOR, scram};
use crate::poll::POLL;
use crate::process::{Process, Shutdown, log};
use crate::world_context::WorldContext;

/// More than any of the programs takes, even on a busy machine.
const LONGEST: Duration = Duration::from_mins(5);

/// Makes the data of a new primary.
pub(crate) async fn init(
    context: &WorldContext,
    region: &str,
    data: &Path,
) -> Result<(), LabError> {
    let new = make_unfinished(context, data)?;
    let password = context.dir.home.join("initdb.password");
    context.dir.write_private(&password, &scram::verifier(&context.passwords.admin))?;
    let mut arguments = vec!["-D".into(), new.clone().into_os_string()];
    arguments.extend(
        ["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "-U", ADMIN].map(Into::into),
    );
    // The first checkpoint of a server with fsync on forces to disk what was written.
    arguments.extend(["--no-sync", "--no-instructions", "--pwfile"].map(Into::into));
    arguments.push(password.clone().into_os_string());
    let made = run(context, "initdb", region, arguments, |_| {}).await;
    let _ = fs::remove_file(&password);
    made?;
    replace(data, &new)
}

/// Makes a copy of the running primary's data, as a replica or a backup is; the primary listens on
/// this port.
pub(crate) async fn base_backup(
    context: &WorldContext,
    region: &str,
    data: &Path,
    primary_port: u16,
) -> Result<(), LabError> {
    let new = make_unfinished(context, data)?;
    let mut arguments = vec!["-D".into(), new.clone().into_os_string()];
    arguments.extend(["-h", "127.0.0.1", "-U", REPLICATOR, "-w", "-p"].map(Into::into));
    arguments.push(primary_port.to_string().into());
    arguments.extend(["--checkpoint=fast", "--no-sync", "-X", "fetch"].map(Into::into));
    // Other users can read the arguments of a process, but not its environment.
    run(context, "pg_basebackup", region, arguments, |command| {
        command
            .env("PGPASSWORD", &context.passwords.replicator)
            .env("PGSSLMODE", "disable")
            .env("PGGSSENCMODE", "disable");
    })
    .await?;
    replace(data, &new)
}

/// Takes back the changes that this data has and the running primary's has not, so that its server
/// can follow. After a failure or a crash the data is gone, because half of both would be worse.
pub(crate) async fn rewind(
    context: &WorldContext,
    region: &str,
    data: &Path,
    primary_port: u16,
) -> Result<(), LabError> {
    let new = unfinished(data);
    remove_folder(&new)?;
    fs::rename(data, &new).map_err(LabError::file("rename", data))?;
    let source = format!(
        "host=127.0.0.1 port={primary_port} user={ADMIN} dbname=postgres sslmode=disable gssencmode=disable"
    );
    let mut arguments = vec!["-D".into(), new.clone().into_os_string()];
    arguments.extend(["--no-sync", "--source-server", &source].map(Into::into));
    run(context, "pg_rewind", region, arguments, |command| {
        command.env("PGPASSWORD", &context.passwords.admin);
    })
    .await?;
    replace(data, &new)
}

/// Makes an empty folder of the servers' user, without what a killed run may have left in it.
fn make_unfinished(context: &WorldContext, data: &Path) -> Result<PathBuf, LabError> {
    let path = unfinished(data);
    remove_folder(&path)?;
    fs::create_dir(&path)
        .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o700)))
        .and_then(|()| context.dir.account.own(&path))
        .map_err(LabError::file("make the folder", &path))?;
    Ok(path)
}

/// Where data is made. The name differs in every process, as a program of a killed run may still be
/// writing.
fn unfinished(data: &Path) -> PathBuf {
    let mut name = data.as_os_str().to_owned();
    name.push(format!("{UNFINISHED}{}", std::process::id()));
    PathBuf::from(name)
}

/// Puts finished data in the place of the old.
pub(crate) fn replace(data: &Path, new: &Path) -> Result<(), LabError> {
    remove_folder(data)?;
    fs::rename(new, data).map_err(LabError::file("rename", new))
}

async fn run(
    context: &WorldContext,
    program: &'static str,
    region: &str,
    arguments: Vec<OsString>,
    adjust: impl FnOnce(&mut Command),
) -> Result<(), LabError> {
    let log = context.dir.log(region);
    let logged = log::length(&log);
    let mut process = context.spawn(program, region, Shutdown::Kill, arguments, adjust)?;
    let status = finish(&mut process).await;
    if status.is_some_and(|status| status.success()) {
        return Ok(());
    }
    let tail = log::tail(&log, logged);
    Err(LabError::ProgramFailed { program, region: region.to_owned(), status, tail })
}

async fn finish(process: &mut Process) -> Option<ExitStatus> {
    let since = Instant::now();
    while since.elapsed() < LONGEST {
        if let Some(status) = process.exited() {
            return Some(status);
        }
        tokio::time::sleep(POLL).await;
    }
    None
}
