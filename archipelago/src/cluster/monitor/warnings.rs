//! What the monitor tells an operator of a server that it has just connected to.

use super::{SILENCE, within};
use crate::cluster::Member;
use crate::connection::Connection;

/// Warns where the server has no room for the pool and the monitor's connection.
pub(super) async fn warn_of_few_connections(member: &Member, connection: &Connection) {
    let pool_size = member.reading.state().size;
    if let Some(Ok(allowed)) = within(SILENCE, connection.connections_allowed()).await
        // One more is the monitor's.
        && i64::from(pool_size) >= i64::from(allowed)
    {
        tracing::warn!(
            region = member.info().code,
            pool_size,
            allowed,
            "POOL_SIZE is more than this server allows: it will refuse connections; lower \
             POOL_SIZE, or raise max_connections"
        );
    }
}

/// Warns of what the login role may not ask.
pub(super) fn warn_of_missing_rights(member: &Member, connection: &Connection) {
    let region = member.info().code;
    if !connection.sees_timelines() {
        tracing::warn!(
            region,
            "this database's role cannot see on which timeline a replica is, so that after a \
             promotion reads stay away from replicas for some minutes; run GRANT pg_read_all_stats \
             TO the role"
        );
    }
    let denied = connection.denied_functions();
    if !denied.is_empty() {
        tracing::warn!(
            region,
            functions = denied.join(", "),
            "this database's role may not call these functions, so that less is known of it: \
             a copy that takes writes may pass for the primary, and reads go by what is left; run \
             GRANT EXECUTE ON FUNCTION … TO the role for each"
        );
    }
}
