//! The errors of the lab. Each message says what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use tokio_postgres::types::PgLsn;

use crate::postgres::PostgresNotFound;

/// Why a world did not start, stop, or do what it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// A region's name does not have the form that regions.toml demands.
    #[error(
        "`{name}` cannot name a region: begin with a lowercase letter, continue with lowercase letters and \
         digits, separate words by a single `-` or `_`, and use at most 63 characters"
    )]
    InvalidRegionName {
        /// The name as given.
        name: String,
    },
    /// A region was given twice, or is the primary and a replica.
    #[error("the region `{name}` is listed twice: a region has one server, so list it once")]
    DuplicateRegion {
        /// The name given twice.
        name: String,
    },
    /// There is no usable PostgreSQL on this machine, and none could be fetched.
    #[error(transparent)]
    NoPostgres(#[from] Box<PostgresNotFound>),
    /// Another process runs its servers in this folder.
    #[error(
        "the folder {} is in use by another process{}: stop that one, or use another folder",
        folder.display(), holder.as_ref().map(|pid| format!(" ({pid})")).unwrap_or_default()
    )]
    FolderInUse {
        /// The folder given to [`Builder::folder`](crate::Builder::folder).
        folder: PathBuf,
        /// The id of that process, if it is known.
        holder: Option<String>,
    },
    /// Another user has made the data in the folder.
    #[error(
        "{} belongs to user {owner}, and this process runs as user {user}: run it as that user \
         again, or delete the folder {} to start afresh", made.display(), folder.display()
    )]
    OtherOwner {
        /// A file or folder that the other user made.
        made: PathBuf,
        /// The folder to delete for a fresh start.
        folder: PathBuf,
        /// The id of that user.
        owner: u32,
        /// The id of this process's user.
        user: u32,
    },
    /// The user that must run the servers cannot enter a folder.
    #[error(
        "PostgreSQL refuses to run as root, and the user `{user}` who runs it instead cannot enter \
         {}: let that user in, or use another folder", folder.display()
    )]
    FolderNotAccessible {
        /// The folder.
        folder: PathBuf,
        /// The user that was tried.
        user: String,
    },
    /// There is data, but the file with its passwords is missing.
    #[error(
        "{} is missing, which holds the passwords of the data beside it: delete the folder {} to \
         start afresh", file.display(), folder.display()
    )]
    PasswordsMissing {
        /// The file that was expected.
        file: PathBuf,
        /// The folder to delete for a fresh start.
        folder: PathBuf,
    },
    /// A file or a folder could not be read, written or made.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// The action, as a verb.
        action: &'static str,
        /// The file or the folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A program could not be run.
    #[error("cannot run {}: {source}", program.display())]
    CannotRun {
        /// The program.
        program: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A program of PostgreSQL failed.
    #[error("{program} for region `{region}` {}; the end of its output:\n{tail}", ending(*status))]
    ProgramFailed {
        /// `initdb`, `pg_basebackup` or `pg_rewind`.
        program: &'static str,
        /// The region whose data it was making.
        region: String,
        /// How it ended; `None` if it was stopped because it took too long.
        status: Option<ExitStatus>,
        /// The end of its output.
        tail: String,
    },
    /// The disk is full, which another failure comes from, most likely.
    #[error("the disk of {} has {free} MiB left, too few for one server: make room there; {cause}", folder.display())]
    DiskFull {
        /// A folder on that disk.
        folder: PathBuf,
        /// What is left, in MiB.
        free: u64,
        /// What failed.
        cause: Box<LabError>,
    },
    /// A server ended or did not answer, instead of starting.
    #[error(
        "the server of region `{region}` did not start: {why}; the end of its log ({}):\n{tail}",
        log.display()
    )]
    DidNotStart {
        /// The server's region.
        region: String,
        /// What happened instead.
        why: String,
        /// Its log file.
        log: PathBuf,
        /// The end of that file.
        tail: String,
    },
    /// A replica runs, but has not replayed yet what its primary had when it started.
    #[error(
        "the replica `{region}` runs, but has not caught up with its primary `{primary}` within {waited:?}, and \
         still tries: see the link between the two, and the logs of both"
    )]
    NotCaughtUp {
        /// The replica's region.
        region: String,
        /// The region of its primary.
        primary: String,
        /// How long the lab waited.
        waited: Duration,
    },
    /// Another program took the server's port.
    #[error(
        "port {port} of 127.0.0.1, which the server of region `{region}` needs, was taken by \
         another program: stop that program, or start the world anew to get other ports"
    )]
    PortTaken {
        /// The server's region.
        region: String,
        /// The port.
        port: u16,
    },
    /// There is no free port on the loopback interface.
    #[error("no free port on 127.0.0.1: {source}")]
    NoFreePort {
        /// The system's error.
        source: io::Error,
    },
    /// A file of distances has mistakes.
    #[error("{}", mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Distances {
        /// All of them, each with its line and what to write instead.
        mistakes: Vec<archipelago_regions::Mistake>,
    },
    /// The thread of the links could not be started.
    #[error(
        "cannot start the links between the regions: {source}; end other programs, or raise the limits of this one"
    )]
    Links {
        /// The system's error.
        source: io::Error,
    },
    /// The world cannot listen for commands of other processes.
    #[error("cannot listen for commands of other processes: {source}")]
    Control {
        /// The system's error.
        source: io::Error,
    },
    /// The server is stopped.
    #[error("the server of region `{region}` is not running: start it first")]
    NotRunning {
        /// The server's region.
        region: String,
    },
    /// The world has no server in this region.
    #[error("no server in `{region}`: there is one in {}", known.join(", "))]
    UnknownRegion {
        /// The region asked for.
        region: String,
        /// The regions that have a server.
        known: Vec<String>,
    },
    /// Only a replica can do this.
    #[error(
        "the server of region `{region}` is a primary, not a replica: `rejoin` makes a replica of an old primary"
    )]
    NotAReplica {
        /// The server's region.
        region: String,
    },
    /// A link joins two places, and one was named twice.
    #[error("`{place}` is one place, and a link joins two: name another place as well")]
    SamePlace {
        /// The place that was given twice.
        place: String,
    },
    /// The lag is longer than PostgreSQL's `recovery_min_apply_delay` allows.
    #[error("the replica `{region}` cannot hold back commits for {delay:?}: 24 days are the most")]
    LagTooLong {
        /// The replica's region.
        region: String,
        /// The lag that was asked for.
        delay: Duration,
    },
    /// The primary cannot follow itself.
    #[error(
        "the server of region `{region}` is the primary, which the others follow: promote another one first"
    )]
    IsPrimary {
        /// The server's region.
        region: String,
    },
    /// A replica has not received everything that its primary has.
    #[error(
        "the replica `{region}` does not receive all that its primary `{primary}` writes, so commits would be lost: see \
         whether the link between the two is cut, or promote it with the old primary left running"
    )]
    NotReceived {
        /// The replica's region.
        region: String,
        /// The region of the primary, which still runs.
        primary: String,
    },
    /// The library that gives a server another clock is not installed.
    #[error(
        "libfaketime is not installed, so no server can have a clock of its own: apt-get install faketime"
    )]
    NoFakeClock,
    /// The server is frozen, and would never answer.
    #[error("the server of region `{region}` is frozen: thaw it first")]
    Frozen {
        /// The server's region.
        region: String,
    },
    /// A server did not do in time what it was told.
    #[error(
        "the server of region `{region}` did not {doing} within {waited:?}: try again, and see its log"
    )]
    TimedOut {
        /// The server's region.
        region: String,
        /// What it was told to do, as a verb.
        doing: &'static str,
        /// How long the lab waited.
        waited: Duration,
    },
    /// A replica did not reach a position in time.
    #[error(
        "the replica `{region}` has not replayed {wanted} within {waited:?}; {}{}",
        reached.map_or_else(|| "it did not tell its position".to_owned(), |lsn| format!("it got as far as {lsn}")),
        if *paused { ", and its replay is paused: resume it" } else { "" }
    )]
    NotReplayed {
        /// The replica's region.
        region: String,
        /// The position asked for.
        wanted: PgLsn,
        /// The position that it had reached by then.
        reached: Option<PgLsn>,
        /// Whether its replay was paused by then.
        paused: bool,
        /// How long the lab waited.
        waited: Duration,
    },
    /// Replay did not pause in time.
    #[error("the replica `{region}` did not pause its replay within {waited:?}: try again")]
    NotPaused {
        /// The replica's region.
        region: String,
        /// How long the lab waited.
        waited: Duration,
    },
    /// This would harm servers that other tests use.
    #[error(
        "other tests use the servers of this test too, so it cannot {doing}: give it servers of its own, as in \
         `#[archipelago_lab::test(primary = \"home\", own_servers)]`"
    )]
    SharedServers {
        /// What the test tried to do, as a verb.
        doing: &'static str,
    },
    /// A test did not end in time.
    #[error("the test `{test}` did not end within {waited:?}: give each of its waits a deadline")]
    TestTimedOut {
        /// The name of its function.
        test: &'static str,
        /// How long the lab waited.
        waited: Duration,
    },
    /// The runtime of a test could not be started.
    #[error("cannot start the runtime of a test: {source}")]
    NoRuntime {
        /// The system's error.
        source: io::Error,
    },
    /// A server answered a query of the lab with an error, or not at all.
    #[error("the server of region `{region}` failed to {doing}: {}", in_full(source))]
    Database {
        /// The server's region.
        region: String,
        /// What the server was asked to do, as a verb.
        doing: &'static str,
        /// The error.
        source: tokio_postgres::Error,
    },
}

impl LabError {
    /// For `map_err` on what `std::fs` returns.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}

fn ending(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "took too long".to_owned(), |status| format!("failed ({status})"))
}

/// The error with its source, which is the server's message: by itself it prints "db error".
fn in_full(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
