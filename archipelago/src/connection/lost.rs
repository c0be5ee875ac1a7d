//! Whether a server still works on what was sent to it on another connection.

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::{QueryResult, sql_types};

use super::Connection;
use super::request::{Load, Request};
use crate::error::SessionRecord;

/// True where the process has been waiting for its client for longer than an answer is under way:
/// the request, or its answer, was lost. NULL where the server does not tell. No row where the
/// process is unknown, as behind `PgBouncer`.
const HAS_LOST: &str = "SELECT state = 'idle' AND clock_timestamp() - state_change > '0.5 s'
    FROM pg_stat_activity WHERE pid = ";

/// Asks whether the connection that this process of the server serves has lost a request.
#[derive(Clone, Copy, QueryId)]
pub(crate) struct HasLost {
    pub(crate) process: i32,
}

impl Query for HasLost {
    type SqlType = sql_types::Nullable<sql_types::Bool>;
}

impl QueryFragment<Pg> for HasLost {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(HAS_LOST);
        out.push_bind_param::<sql_types::Integer, _>(&self.process)
    }
}

impl Connection {
    /// Whether another connection to this server has lost what it waits for. False where the server
    /// does not tell.
    pub(crate) async fn has_lost(&self, other: &SessionRecord) -> bool {
        let states = Load::<_, Option<bool>>::new(HasLost { process: other.process() });
        states.send(self).await.is_ok_and(|states| states.contains(&Some(true)))
    }
}
