//! Databases besides the world's own: one for each test keeps tests apart.

use crate::LabError;
use crate::passwords::APP;
use crate::world::World;

impl World {
    /// Makes a database that the role `app` owns. Returns when every running replica has it too.
    /// [`Server::url_of`](crate::Server::url_of) leads to it.
    ///
    /// # Errors
    /// If there is one of that name; [`LabError::NotReplayed`] if a replica does not have it after
    /// 30 seconds, for example because its replay is paused.
    pub async fn create_database(&self, name: &str) -> Result<(), LabError> {
        let doing = "create a database";
        let primary = self.primary().process();
        let (session, context) = (primary.session(doing).await?, &primary.context);
        // Copying the template's files takes half as long as logging their content. It forces a
        // checkpoint, which is cheap only without fsync. Before version 15 there is no choice.
        let copies = context.dir.is_temporary() && context.postgres.major() >= 15;
        let strategy = if copies { "STRATEGY file_copy" } else { "" };
        let statement = format!("CREATE DATABASE {} OWNER {APP} {strategy}", quoted(name));
        session.batch_execute(&statement).await.map_err(primary.failed_to(doing))?;
        // The commit is flushed, whatever `synchronous_commit` says.
        let flushed = session.query_one("SELECT pg_current_wal_flush_lsn()", &[]).await;
        let position = flushed.map_err(primary.failed_to(doing))?.get(0);
        self.wait_until_replayed(position).await
    }

    /// Drops a database, and ends all sessions that use it.
    #[cfg(feature = "macros")]
    pub(crate) async fn drop_database(&self, name: &str) -> Result<(), LabError> {
        let doing = "drop a database";
        let primary = self.primary().process();
        let session = primary.session(doing).await?;
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name));
        session.batch_execute(&statement).await.map_err(primary.failed_to(doing))
    }
}

/// A name as an SQL identifier. A database name may hold any character.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
