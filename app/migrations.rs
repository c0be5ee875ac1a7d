//! The migrations of the folder `migrations/`, embedded in the program and run on the primary.

use std::time::{Duration, Instant};

use archipelago::{DatabaseUrl, DownReason, ServerErrors};
use diesel::dsl::sql;
use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::sql_types::{Array, BigInt, Bool, Text};
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use tokio::time::sleep;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// The advisory lock held while migrations run, so that instances that start together take turns.
/// Any number that no other program locks: this one spells "archip".
const LOCK: i64 = 0x_6172_6368_6970;

/// How long all waits may take together. Fly.io ends a release command after five minutes.
const PATIENCE: Duration = Duration::from_mins(4);

/// How long a migration may wait for the lock of a table, and its visitors behind it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// `lock_not_available`.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Why the migrations did not all run.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// No connection could be opened.
    #[error(
        "cannot migrate: {url} cannot be reached: {reason}; is the database running, and is its URL right?"
    )]
    Unreachable {
        /// The database's URL, without the password.
        url: String,
        /// What the connection said.
        reason: DownReason,
    },
    /// The database takes no writes: it is a replica, since a promotion perhaps, or was fenced.
    #[error(
        "cannot migrate: {url} is a replica now, or read-only: run `archipelago migrate` with \
         DATABASE_URL set to the primary"
    )]
    NotPrimary {
        /// The database's URL, without the password.
        url: String,
    },
    /// Another process holds the lock of all migrations.
    #[error(
        "cannot migrate: another process has been migrating this database for {} s; wait for it, or \
         end its session (pg_locks shows it: locktype advisory, objid {})",
        PATIENCE.as_secs(),
        LOCK & 0xffff_ffff
    )]
    Locked,
    /// A transaction holds a table that a migration changes.
    #[error(
        "cannot migrate: {name} has waited in vain for {} s for a table that a transaction holds; see \
         pg_stat_activity for those with the oldest xact_start, and end them",
        PATIENCE.as_secs()
    )]
    Held {
        /// The migration.
        name: String,
    },
    /// The database refused a migration.
    #[error("cannot migrate: {0}")]
    Refused(Box<dyn std::error::Error + Send + Sync>),
}

impl MigrationError {
    fn refused(error: diesel::result::Error) -> Self {
        Self::Refused(error.into())
    }

    /// Whether the server is away, full, or a replica: then others may serve, and the settings may be
    /// right. A refused login (class 28) and a missing database (3D) are no such thing.
    pub(crate) fn may_pass(&self) -> bool {
        let is_wrong = |code: &str| code.starts_with("28") || code.starts_with("3D");
        match self {
            Self::Unreachable { reason: DownReason::Refused { sqlstate, .. }, .. } => {
                !sqlstate.as_deref().is_some_and(is_wrong)
            }
            Self::Unreachable { reason: DownReason::Pooler, .. }
            | Self::Locked
            | Self::Held { .. }
            | Self::Refused(_) => false,
            Self::Unreachable { .. } | Self::NotPrimary { .. } => true,
        }
    }
}

/// The versions of the embedded migrations. A database that lacks one of them is too old for this
/// program.
pub(crate) fn versions() -> Vec<String> {
    let embedded = MigrationSource::<Pg>::migrations(&MIGRATIONS).unwrap_or_default();
    embedded.iter().map(|migration| migration.name().version().to_string()).collect()
}

/// Runs the pending migrations on the database at `url`, and returns their names. Waits, four minutes
/// in all, for another process that migrates, and for tables that long transactions hold.
///
/// Needs a multi-threaded Tokio runtime: Diesel's migrations block.
pub async fn run(url: &DatabaseUrl) -> Result<Vec<String>, MigrationError> {
    let deadline = Instant::now() + PATIENCE;
    let unreachable = |reason| MigrationError::Unreachable { url: url.to_string(), reason };
    let (mut connection, errors) =
        archipelago::connect_with_errors(url).await.map_err(unreachable)?;
    // On in recovery as well.
    let is_read_only = sql::<Bool>("SELECT current_setting('transaction_read_only')::bool")
        .get_result(&mut connection);
    if is_read_only.await.map_err(MigrationError::refused)? {
        return Err(MigrationError::NotPrimary { url: url.to_string() });
    }
    if is_up_to_date(&mut connection).await {
        return Ok(Vec::new());
    }
    take_lock(&mut connection, deadline).await?;
    let mut ran = Vec::new();
    let mut connection = loop {
        match run_next(connection, &errors, deadline).await? {
            (next, Some(name)) => {
                connection = next;
                ran.push(name);
            }
            (connection, None) => break connection,
        }
    };
    // A pooler of sessions may keep this one.
    let leave = format!("SELECT pg_advisory_unlock({LOCK}); RESET lock_timeout");
    connection.batch_execute(&leave).await.map_err(MigrationError::refused)?;
    Ok(ran)
}

/// Whether the database has each embedded migration. Diesel's harness needs the right to create tables
/// to tell; a role that only uses them can tell by this.
async fn is_up_to_date(connection: &mut AsyncPgConnection) -> bool {
    let needed = versions();
    let count = i64::try_from(needed.len()).ok();
    let applied =
        sql::<BigInt>("SELECT count(*) FROM __diesel_schema_migrations WHERE version = ANY(");
    let applied = applied.bind::<Array<Text>, _>(needed).sql(")");
    applied.get_result::<i64>(connection).await.ok() == count
}

/// Takes the lock of all migrations. Asks again and again: while it waited in the server, its snapshot
/// would hold up the other process's CREATE INDEX CONCURRENTLY, which waits for every older one.
async fn take_lock(
    connection: &mut AsyncPgConnection,
    deadline: Instant,
) -> Result<(), MigrationError> {
    let mut is_told = false;
    loop {
        let lock = sql::<Bool>("SELECT pg_try_advisory_lock(").bind::<BigInt, _>(LOCK).sql(")");
        if lock.get_result(connection).await.map_err(MigrationError::refused)? {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(MigrationError::Locked);
        }
        if !std::mem::replace(&mut is_told, true) {
            tracing::warn!("another process migrates this database: waiting for it");
        }
        sleep(PAUSE).await;
    }
}

/// Runs the next migration, and returns its name; None where none is pending. In a transaction it gives
/// up after a moment where it does not get the lock of a table, as every other statement on the table
/// waits behind it, and tries again.
async fn run_next(
    connection: AsyncPgConnection,
    errors: &ServerErrors,
    deadline: Instant,
) -> Result<(AsyncPgConnection, Option<String>), MigrationError> {
    let (mut connection, next) = in_harness(connection, next);
    let Some((name, is_undone)) = next.map_err(MigrationError::Refused)? else {
        return Ok((connection, None));
    };
    // What has run of one outside of a transaction stays.
    let limit = if is_undone { LOCK_TIMEOUT } else { Duration::ZERO };
    let set = format!("SET lock_timeout = {}", limit.as_millis());
    connection.batch_execute(&set).await.map_err(MigrationError::refused)?;
    let mut is_told = false;
    loop {
        let ran;
        (connection, ran) =
            in_harness(connection, |harness| harness.run_next_migration(MIGRATIONS).map(drop));
        let Err(error) = ran else { return Ok((connection, Some(name))) };
        match errors.take_code().as_deref() {
            Some(LOCK_NOT_AVAILABLE) if is_undone && Instant::now() < deadline => {}
            Some(LOCK_NOT_AVAILABLE) if is_undone => return Err(MigrationError::Held { name }),
            _ => return Err(MigrationError::Refused(error)),
        }
        if !std::mem::replace(&mut is_told, true) {
            tracing::warn!(
                migration = name,
                "a transaction holds a table that this migration changes: trying again until it ends"
            );
        }
        sleep(PAUSE).await;
    }
}

type Harness = AsyncMigrationHarness<AsyncPgConnection>;

/// Lends a connection to Diesel's migrations, which want one of their own.
fn in_harness<T>(
    connection: AsyncPgConnection,
    work: impl FnOnce(&mut Harness) -> T,
) -> (AsyncPgConnection, T) {
    let mut harness = AsyncMigrationHarness::new(connection);
    let done = work(&mut harness);
    (harness.into_inner(), done)
}

/// The name of the next migration, and whether it runs in a transaction, which undoes it where it fails.
fn next(harness: &mut Harness) -> diesel::migration::Result<Option<(String, bool)>> {
    let pending = harness.pending_migrations(MIGRATIONS)?;
    let next = pending.into_iter().next();
    Ok(next.map(|next| (next.name().to_string(), next.metadata().run_in_transaction())))
}

/// A line for each migration that [`run`] has run; empty if there was none.
pub(crate) fn report(ran: &[String]) -> String {
    ran.iter().flat_map(|name| ["migrated ", name, "\n"]).collect()
}
