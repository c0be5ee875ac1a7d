//! What can go wrong in the lab; each message says what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use tokio_postgres::types::PgLsn;

use crate::postgres::NotFound;

/// Why a world did not start, stop or answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// A region's name is not of the form that a regions file demands, which folders and servers can have too.
    #[error(
        "`{name}` cannot name a region of the lab: write a lowercase letter first, then lowercase letters and \
         digits, with a single `-` or `_` between them where you like, at most 63 in all"
    )]
    RegionName {
        /// The name as given.
        name: String,
    },
    /// A region was given twice, or is the primary and a replica.
    #[error("the region `{name}` is listed twice: a region has one server, so list it once")]
    RegionTwice {
        /// The name given twice.
        name: String,
    },
    /// No PostgreSQL that can be used, on this machine or from the network.
    #[error(transparent)]
    NoPostgres(#[from] Box<NotFound>),
    /// Another live process runs its servers in this folder.
    #[error(
        "the folder {} is in use by another process{}: stop that one, or use another folder",
        folder.display(), holder.as_ref().map(|pid| format!(" ({pid})")).unwrap_or_default()
    )]
    InUse {
        /// The folder given to [`Builder::folder`](crate::Builder::folder).
        folder: PathBuf,
        /// The process id of the other one, where it is known.
        holder: Option<String>,
    },
    /// The folder was used by another user before.
    #[error(
        "{} belongs to user {owner}, and this process runs as user {user}: run it as that user \
         again, or delete the folder {} to start afresh", made.display(), folder.display()
    )]
    Owner {
        /// A file or folder that the other user made.
        made: PathBuf,
        /// The folder to delete for a fresh start.
        folder: PathBuf,
        /// The user id that owns it.
        owner: u32,
        /// The user id of this process.
        user: u32,
    },
    /// The user that must run the servers cannot enter a folder.
    #[error(
        "PostgreSQL refuses to run as root, and the user `{user}` who runs it instead cannot enter \
         {}: let that user in, or use another folder", folder.display()
    )]
    Unreachable {
        /// The folder.
        folder: PathBuf,
        /// The user that was tried.
        user: String,
    },
    /// There is data, but the file with its passwords is gone.
    #[error(
        "{} is gone, and with it the passwords of the data beside it: delete the folder {} to \
         start afresh", file.display(), folder.display()
    )]
    PasswordsGone {
        /// The file that was expected.
        file: PathBuf,
        /// The folder to delete for a fresh start.
        folder: PathBuf,
    },
    /// The file system said no.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// A program could not be run at all.
    #[error("cannot run {}: {source}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// A program of PostgreSQL failed.
    #[error("{program} for region `{region}` {}; its last words:\n{tail}", ending(*status))]
    Program {
        /// `initdb`, `pg_basebackup` or `pg_rewind`.
        program: &'static str,
        /// The region whose data it was making.
        region: String,
        /// How it ended; `None`: it was stopped because it took too long.
        status: Option<ExitStatus>,
        /// The end of what it printed.
        tail: String,
    },
    /// A server ended, or kept silent, instead of starting.
    #[error(
        "the server of region `{region}` did not start: {why}; the end of its log ({}):\n{tail}",
        log.display()
    )]
    DidNotStart {
        /// The server's region.
        region: String,
        /// What was seen.
        why: String,
        /// Its log file.
        log: PathBuf,
        /// The end of that file.
        tail: String,
    },
    /// A replica runs, and does not have yet what its primary had when it started.
    #[error(
        "the replica `{region}` runs, and has not caught up with its primary `{primary}` within {waited:?}: it goes on \
         trying; see the line between the two, and the logs of both"
    )]
    NotCaughtUp {
        /// The replica's region.
        region: String,
        /// The region of its primary.
        primary: String,
        /// How long was waited.
        waited: Duration,
    },
    /// Somebody else took the server's port.
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
    /// No port of the loopback interface could be had.
    #[error("no free port on 127.0.0.1: {source}")]
    NoPort {
        /// What the system answered.
        source: io::Error,
    },
    /// A file of distances has mistakes.
    #[error("{}", mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Distances {
        /// All of them, each with its line and what to write instead.
        mistakes: Vec<archipelago_regions::Mistake>,
    },
    /// The thread that carries what goes along the lines could not be started.
    #[error(
        "cannot start the lines between the regions: {source}; end other programs, or raise the limits of this one"
    )]
    Links {
        /// What the system answered.
        source: io::Error,
    },
    /// The world cannot listen for commands of other processes.
    #[error("cannot listen for commands of other processes: {source}")]
    Control {
        /// What the system answered.
        source: io::Error,
    },
    /// The server is stopped.
    #[error("the server of region `{region}` is not running: start it first")]
    NotRunning {
        /// The server's region.
        region: String,
    },
    /// A region that this world does not have.
    #[error("no server in `{region}`: there is one in {}", known.join(", "))]
    UnknownRegion {
        /// The region asked for.
        region: String,
        /// The regions that there are.
        known: Vec<String>,
    },
    /// Something that only a replica can do.
    #[error(
        "the server of region `{region}` is a primary, not a replica: `rejoin` makes a replica of an old primary"
    )]
    NoReplica {
        /// The server's region.
        region: String,
    },
    /// A line joins two places.
    #[error("`{place}` is one place, and a line joins two: name another place as well")]
    SamePlace {
        /// The place that was given twice.
        place: String,
    },
    /// More than PostgreSQL's `recovery_min_apply_delay` takes.
    #[error("the replica `{region}` cannot hold back commits for {delay:?}: 24 days are the most")]
    LagTooLong {
        /// The replica's region.
        region: String,
        /// What was asked for.
        delay: Duration,
    },
    /// The primary cannot follow itself.
    #[error(
        "the server of region `{region}` is the primary, whom the others follow: promote another one first"
    )]
    IsPrimary {
        /// The server's region.
        region: String,
    },
    /// A replica has not received all that its primary has.
    #[error(
        "the replica `{region}` does not receive all that its primary `{primary}` writes, so commits would be lost: see \
         whether the line between the two is cut, or promote it with the old primary left running"
    )]
    NotReceived {
        /// The replica's region.
        region: String,
        /// The region of the primary, which goes on.
        primary: String,
    },
    /// The server is frozen: it would never answer.
    #[error("the server of region `{region}` is frozen: thaw it first")]
    Frozen {
        /// The server's region.
        region: String,
    },
    /// A server did not do in time what it was told.
    #[error(
        "the server of region `{region}` did not {doing} within {waited:?}: try again, and see its log"
    )]
    TooSlow {
        /// The server's region.
        region: String,
        /// What it was to do, as a verb.
        doing: &'static str,
        /// How long was waited.
        waited: Duration,
    },
    /// A replica did not reach a position in time.
    #[error(
        "the replica `{region}` has not replayed {wanted} within {waited:?}; {}{}",
        reached.map_or_else(|| "it did not say where it is".to_owned(), |lsn| format!("it got as far as {lsn}")),
        if *paused { ", and its replay is paused: resume it" } else { "" }
    )]
    NotReplayed {
        /// The replica's region.
        region: String,
        /// The position asked for.
        wanted: PgLsn,
        /// The position it had reached at the end.
        reached: Option<PgLsn>,
        /// Whether replay was paused at the end.
        paused: bool,
        /// How long was waited.
        waited: Duration,
    },
    /// Replay did not pause in time.
    #[error("the replica `{region}` did not pause its replay within {waited:?}: try again")]
    NotPaused {
        /// The replica's region.
        region: String,
        /// How long was waited.
        waited: Duration,
    },
    /// Other tests use the servers that this would have harmed.
    #[error(
        "other tests use the servers of this test too, so it cannot {doing}: give it servers of its own, as in \
         `#[archipelago_lab::test(primary = \"home\", own_servers)]`"
    )]
    Shared {
        /// What was tried, as a verb.
        doing: &'static str,
    },
    /// A test did not come to an end.
    #[error("the test `{test}` did not end within {waited:?}: give each of its waits a deadline")]
    Endless {
        /// The name of its function.
        test: &'static str,
        /// How long was waited.
        waited: Duration,
    },
    /// No threads for a test's asynchronous code.
    #[error("cannot start the runtime of a test: {source}")]
    NoRuntime {
        /// What the system answered.
        source: io::Error,
    },
    /// A server answered a question of the lab with an error, or not at all.
    #[error("the server of region `{region}` failed to {doing}: {}", in_full(source))]
    Database {
        /// The server's region.
        region: String,
        /// What the lab was doing.
        doing: &'static str,
        /// What the server answered.
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

/// A `tokio_postgres::Error` prints as "db error": what the server said is its source.
fn in_full(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
