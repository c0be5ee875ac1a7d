//! The migrations of `migrations/`, embedded in the program and run on the primary.

use archipelago::{DatabaseUrl, DownReason};
use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncMigrationHarness, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// Held while migrations run, so that instances that start together take turns. Any number that nobody else locks.
const LOCK: i64 = 0x_6172_6368_6970;

/// Why the migrations were not all run.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// No connection could be opened.
    #[error(
        "cannot migrate: {url} cannot be reached: {reason}; is the database running, and is its URL right?"
    )]
    Unreachable {
        /// Where, without the password.
        url: String,
        /// What the connection said.
        reason: DownReason,
    },
    /// The database refused one of them.
    #[error("cannot migrate: {0}")]
    Refused(Box<dyn std::error::Error + Send + Sync>),
}

/// The newest migration that this program was built with: what its queries need.
#[must_use]
pub fn newest() -> Option<String> {
    let embedded = MigrationSource::<Pg>::migrations(&MIGRATIONS).ok()?;
    embedded.iter().map(|migration| migration.name().version().to_string()).max()
}

/// Runs the migrations that the database at `url` has not seen, and returns their names.
///
/// Needs a multi-threaded Tokio runtime: Diesel's migrations block.
///
/// # Errors
/// When the database cannot be reached, or refuses a migration.
pub async fn run(url: &DatabaseUrl) -> Result<Vec<String>, MigrationError> {
    let unreachable = |reason| MigrationError::Unreachable { url: url.to_string(), reason };
    let mut connection = archipelago::connect(url).await.map_err(unreachable)?;
    // The lock ends with the connection.
    diesel::sql_query("SELECT pg_advisory_lock($1)")
        .bind::<BigInt, _>(LOCK)
        .execute(&mut connection)
        .await
        .map_err(|error| MigrationError::Refused(error.into()))?;
    let mut harness = AsyncMigrationHarness::new(connection);
    let ran = harness.run_pending_migrations(MIGRATIONS).map_err(MigrationError::Refused)?;
    Ok(ran.iter().map(ToString::to_string).collect())
}
