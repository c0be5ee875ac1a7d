//! The roles and the database of applications, on a new primary.

use crate::LabError;
use crate::passwords::{ADMIN, APP, REPLICATOR, scram};
use crate::server_process::ServerProcess;

/// Makes each role, and the database, if it is missing: an earlier start may have been killed
/// between two of them.
pub(super) async fn provide(primary: &ServerProcess) -> Result<(), LabError> {
    let doing = "make its roles";
    let failed = primary.failed_to(doing);
    let passwords = &primary.context.passwords;
    let session = primary.session(doing).await?;
    let existing = format!(
        "SELECT rolname::text FROM pg_roles WHERE rolname IN ('{APP}', '{REPLICATOR}') \
         UNION ALL SELECT 'database' FROM pg_database WHERE datname = '{APP}'"
    );
    let existing = session.query(&existing, &[]).await.map_err(&failed)?;
    let existing: Vec<String> = existing.iter().map(|row| row.get(0)).collect();
    let steps = [
        (APP, format!("CREATE ROLE {APP} LOGIN PASSWORD '{}'", scram::verifier(&passwords.app))),
        (
            REPLICATOR,
            format!(
                "CREATE ROLE {REPLICATOR} LOGIN REPLICATION PASSWORD '{}'",
                scram::verifier(&passwords.replicator)
            ),
        ),
        ("database", format!("CREATE DATABASE {APP} OWNER {APP}")),
    ];
    for (name, statement) in steps {
        if !existing.iter().any(|it| it == name) {
            session.batch_execute(&statement).await.map_err(&failed)?;
        }
    }
    // Lets the role see a replica's timeline. Not among the steps, because a folder of an earlier
    // version of the lab has the roles without it.
    session.batch_execute(&format!("GRANT pg_read_all_stats TO {APP}")).await.map_err(&failed)?;
    tracing::debug!(admin = ADMIN, app = APP, "the primary is ready");
    Ok(())
}
