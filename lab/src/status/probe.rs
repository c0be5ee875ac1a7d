//! Asks one server for its state, in bounded time.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::Row;

use crate::LabError;
use crate::server_process::ServerProcess;
use crate::status::{ServerState, ServerStatus};

/// For a server to answer.
const PATIENCE: Duration = Duration::from_secs(1);

const QUESTION: &str = "SELECT \
    CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn() END, \
    CASE WHEN pg_is_in_recovery() THEN GREATEST(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) END, \
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END, \
    EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'), \
    CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END";

pub(crate) async fn probe(server: &ServerProcess) -> ServerStatus {
    let mut status = known_without_asking(server);
    if status.state == ServerState::Silent
        && let Ok(Ok((row, timeline))) = timeout(PATIENCE, answer(server)).await
    {
        status.state = ServerState::Running;
        status.timeline = Some(timeline);
        (status.written, status.received, status.replayed) = (row.get(0), row.get(1), row.get(2));
        (status.streaming, status.replay_paused) = (row.get(3), row.get(4));
    }
    status
}

/// What the lab knows without an answer of the server.
fn known_without_asking(server: &ServerProcess) -> ServerStatus {
    let state = match (server.is_running(), server.is_frozen()) {
        (false, _) => ServerState::Stopped,
        (true, true) => ServerState::Frozen,
        (true, false) => ServerState::Silent,
    };
    ServerStatus {
        region: server.region.clone(),
        role: server.role(),
        state,
        port: server.port,
        timeline: None,
        written: None,
        received: None,
        replayed: None,
        follows: server.upstream().map(|upstream| upstream.region),
        streaming: false,
        lag_bytes: None,
        lag_seconds: None,
        replay_paused: false,
        apply_delay_ms: u64::try_from(server.lag().as_millis()).unwrap_or(u64::MAX),
    }
}

async fn answer(server: &ServerProcess) -> Result<(Row, u32), LabError> {
    let doing = "tell its state";
    let session = server.session(doing).await?;
    let timeline = server.timeline_by(&session).await?;
    let row = session.query_one(QUESTION, &[]).await.map_err(server.failed_to(doing))?;
    Ok((row, timeline))
}
