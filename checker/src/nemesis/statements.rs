//! What an operator does to servers by SQL: ends sessions, alters a type, revokes a right, changes
//! the language.

use std::time::{Duration, Instant};

use archipelago_lab::{Server, World};
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use super::Right;
use crate::BoxError;

/// Between two times that sessions are ended, or a type is altered.
const PAUSE: Duration = Duration::from_millis(700);

/// For a server to answer the operator. It may be frozen.
const ANSWER: Duration = Duration::from_secs(5);

/// Ends the app's sessions. Those of the checker have another name.
const END_SESSIONS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
    WHERE usename = 'app' AND application_name = 'archipelago'";

/// The lab's own language does not change, as it reads the servers' logs.
const GERMAN: &str = "ALTER ROLE app SET lc_messages = 'de_DE.UTF-8'";

/// Ends the app's sessions again and again. A server that does not answer is left alone.
pub(super) async fn end_sessions_for(server: &Server, lasts: Duration) {
    repeat(lasts, async |_| run(server, END_SESSIONS).await).await;
}

/// Changes a column from one type that Diesel reads as text to another, and back.
pub(super) async fn alter_type_for(world: &World, lasts: Duration) {
    let alter = async |turn| {
        let wanted = if turn % 2 == 0 { "varchar(200)" } else { "text" };
        let statement = format!("ALTER TABLE users ALTER COLUMN name TYPE {wanted}");
        run(world.primary(), &statement).await
    };
    repeat(lasts, alter).await;
    // `text` again, as the migrations left it.
    let _ = alter(1).await;
}

/// Has the servers speak German to the app. Returns why they cannot.
pub(super) async fn speak_german_for(
    world: &World,
    lasts: Duration,
) -> Result<Option<String>, BoxError> {
    let client = client(world.primary()).await?;
    match client.batch_execute(GERMAN).await {
        Err(error) if error.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) => {
            return Ok(Some("the locale de_DE.UTF-8 is not installed".to_owned()));
        }
        set => set?,
    }
    end_all_sessions(world).await;
    sleep(lasts).await;
    run(world.primary(), "ALTER ROLE app RESET lc_messages").await?;
    end_all_sessions(world).await;
    Ok(None)
}

/// Revokes a right from all but superusers.
pub(super) async fn revoke_for(
    world: &World,
    right: Right,
    lasts: Duration,
) -> Result<(), BoxError> {
    let function = right.function();
    run(world.primary(), &format!("REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")).await?;
    sleep(lasts).await;
    run(world.primary(), &format!("GRANT EXECUTE ON FUNCTION {function} TO PUBLIC")).await
}

/// Moves the position of a primary on by two segments, and of its replicas with it.
pub(super) async fn skip_ahead(primary: &Server) -> Result<(), BoxError> {
    for _ in 0..2 {
        run(primary, "SELECT pg_logical_emit_message(true, '', '')").await?;
        run(primary, "SELECT pg_switch_wal()").await?;
    }
    Ok(())
}

async fn end_all_sessions(world: &World) {
    for server in world.servers() {
        // A server that is down has no sessions.
        let _ = run(server, END_SESSIONS).await;
    }
}

async fn repeat(lasts: Duration, act: impl AsyncFn(u32) -> Result<(), BoxError>) {
    let until = Instant::now() + lasts;
    for turn in 0.. {
        if Instant::now() >= until {
            break;
        }
        // Another fault may have stopped the server.
        let _ = act(turn).await;
        sleep(PAUSE).await;
    }
}

async fn run(server: &Server, statement: &str) -> Result<(), BoxError> {
    let client = client(server).await?;
    Ok(timeout(ANSWER, client.batch_execute(statement)).await??)
}

/// A superuser's session in the app's database.
pub(crate) async fn client(server: &Server) -> Result<Client, BoxError> {
    let mut config: Config = server.admin_url().parse()?;
    config.dbname("app").application_name("archipelago-checker").connect_timeout(ANSWER);
    let (client, connection) = timeout(ANSWER, config.connect(NoTls)).await??;
    tokio::spawn(connection);
    Ok(client)
}
