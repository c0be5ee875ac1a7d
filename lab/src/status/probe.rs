//! One question to one server, with a bound.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::Row;

use crate::LabError;
use crate::machine::Machine;
use crate::status::{ServerState, ServerStatus};

/// For a server to answer.
const PATIENCE: Duration = Duration::from_secs(1);

const QUESTION: &str = "SELECT \
    CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn() END, \
    CASE WHEN pg_is_in_recovery() THEN GREATEST(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) END, \
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END, \
    EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'), \
    CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END";

pub(super) async fn ask(machine: &Machine) -> ServerStatus {
    let mut status = unasked(machine);
    if status.state == ServerState::Silent
        && let Ok(Ok((row, timeline))) = timeout(PATIENCE, answer(machine)).await
    {
        status.state = ServerState::Running;
        status.timeline = Some(timeline);
        (status.written, status.received, status.replayed) = (row.get(0), row.get(1), row.get(2));
        (status.streaming, status.replay_paused) = (row.get(3), row.get(4));
    }
    status
}

/// What the lab knows by itself.
fn unasked(machine: &Machine) -> ServerStatus {
    let state = match (machine.is_running(), machine.is_frozen()) {
        (false, _) => ServerState::Stopped,
        (true, true) => ServerState::Frozen,
        (true, false) => ServerState::Silent,
    };
    ServerStatus {
        region: machine.region.clone(),
        role: machine.role(),
        state,
        port: machine.port,
        timeline: None,
        written: None,
        received: None,
        replayed: None,
        follows: machine.upstream().map(|upstream| upstream.region),
        streaming: false,
        lag_bytes: None,
        lag_seconds: None,
        replay_paused: false,
        apply_delay_ms: u64::try_from(machine.lag().as_millis()).unwrap_or(u64::MAX),
    }
}

async fn answer(machine: &Machine) -> Result<(Row, u32), LabError> {
    let doing = "tell how it is";
    let session = machine.session(doing).await?;
    let timeline = machine.timeline_of(&session).await?;
    let row = session.query_one(QUESTION, &[]).await.map_err(machine.failed_to(doing))?;
    Ok((row, timeline))
}
