//! The migrations of the folder `migrations/`, embedded in the program and run on the primary.

use archipelago::{DatabaseUrl, DownReason};
use diesel::dsl::sql;
use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::{AsyncMigrationHarness, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// The advisory lock held while migrations run, so that instances that start together take turns.
/// Any number that no other program locks: this one spells "archip".
const LOCK: i64 = 0x_6172_6368_6970;

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
    /// The database refused a migration.
    #[error("cannot migrate: {0}")]
    Refused(Box<dyn std::error::Error + Send + Sync>),
}

impl MigrationError {
    /// Whether the server is away, full, or a replica: then others may serve, and the settings may be
    /// right. A refused login (class 28) and a missing database (3D) are no such thing.
    pub(crate) fn may_pass(&self) -> bool {
        let is_wrong = |code: &str| code.starts_with("28") || code.starts_with("3D");
        match self {
            Self::Unreachable { reason: DownReason::Refused { sqlstate, .. }, .. } => {
                !sqlstate.as_deref().is_some_and(is_wrong)
            }
            Self::Unreachable { reason: DownReason::Pooler, .. } | Self::Refused(_) => false,
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

/// Runs the pending migrations on the database at `url`, and returns their names.
///
/// Needs a multi-threaded Tokio runtime: Diesel's migrations block.
pub async fn run(url: &DatabaseUrl) -> Result<Vec<String>, MigrationError> {
    let unreachable = |reason| MigrationError::Unreachable { url: url.to_string(), reason };
    let mut connection = archipelago::connect(url).await.map_err(unreachable)?;
    // On in recovery as well.
    let is_read_only = sql::<Bool>("SELECT current_setting('transaction_read_only')::bool")
        .get_result(&mut connection)
        .await;
    if is_read_only.map_err(|error| MigrationError::Refused(error.into()))? {
        return Err(MigrationError::NotPrimary { url: url.to_string() });
    }
    // The lock is released when the connection closes.
    diesel::sql_query("SELECT pg_advisory_lock($1)")
        .bind::<BigInt, _>(LOCK)
        .execute(&mut connection)
        .await
        .map_err(|error| MigrationError::Refused(error.into()))?;
    let mut harness = AsyncMigrationHarness::new(connection);
    let ran = harness.run_pending_migrations(MIGRATIONS).map_err(MigrationError::Refused)?;
    Ok(ran.iter().map(ToString::to_string).collect())
}

/// A line for each migration that [`run`] has run; empty if there was none.
pub(crate) fn report(ran: &[String]) -> String {
    ran.iter().flat_map(|name| ["migrated ", name, "\n"]).collect()
}
