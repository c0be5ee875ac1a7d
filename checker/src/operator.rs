//! An operator who commits on the primary, past the app: commits that drop tables, and asynchronous
//! ones. Clients read what it writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use archipelago_lab::World;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client as Session;

use crate::BoxError;
use crate::client::ClientContext;
use crate::history::{Operation, Outcome, Position};
use crate::workload::{CommitKind, OPERATOR, Register, Request, Version};

/// Between two commits. Nothing else is written in it, so that a lagging replica is at the commit.
const PAUSE: Duration = Duration::from_millis(700);

/// For a commit. The primary may be frozen, or away.
const PATIENCE: Duration = Duration::from_secs(5);

/// A table with some hundred files: a replica takes a while to remove them.
const SIDE_TABLE: &str = "DROP TABLE IF EXISTS side; \
    CREATE TABLE side (k int PRIMARY KEY) PARTITION BY LIST (k); \
    DO $$ BEGIN FOR i IN 1..100 LOOP EXECUTE \
        format('CREATE TABLE side_%s PARTITION OF side FOR VALUES IN (%s)', i, i); \
    END LOOP; END $$";

/// The primary's position, which includes its last commit.
const POSITION: &str = "SELECT system_identifier, \
    ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int, \
    pg_current_wal_insert_lsn() FROM pg_control_system()";

/// A register of the operator.
#[derive(Clone, Copy)]
struct OwnRegister {
    register: Register,
    user_id: i64,
    version: Version,
}

/// The operator, who has one register for each kind of commit.
pub struct Operator<'a> {
    world: &'a World,
    context: Arc<ClientContext>,
    registers: HashMap<&'static str, OwnRegister>,
    created: u32,
    operations: Vec<Operation>,
}

impl<'a> Operator<'a> {
    /// An operator who has done nothing yet.
    #[must_use]
    pub fn new(world: &'a World, context: &Arc<ClientContext>) -> Self {
        let (registers, operations) = (HashMap::new(), Vec::new());
        Self { world, context: context.clone(), registers, created: 0, operations }
    }

    /// Commits until the run stops; returns the record of the commits.
    pub async fn run(mut self) -> Vec<Operation> {
        let mut stop = self.context.stop.clone();
        let kinds = [CommitKind::RemovesFiles, CommitKind::Asynchronous];
        for kind in kinds.into_iter().cycle() {
            self.commit(kind).await;
            if timeout(PAUSE, stop.wait_for(|stop| *stop)).await.is_ok() {
                break;
            }
        }
        self.operations
    }

    /// Writes the next version of a register, and records the commit. A register is written no more
    /// once a commit of it is uncertain.
    async fn commit(&mut self, kind: CommitKind) {
        let name = name(kind);
        let own = self.registers.remove(name);
        let next = match own {
            Some(own) => OwnRegister { version: own.version + 1, ..own },
            None => {
                self.created += 1;
                let register = Register { owner: OPERATOR, number: self.created };
                OwnRegister { register, user_id: 0, version: 1 }
            }
        };
        let region = self.world.primary().region().to_owned();
        let session = timeout(PATIENCE, prepare(self.world, kind)).await;
        let Ok(Ok(session)) = session else {
            // Nothing was written.
            self.registers.extend(own.map(|own| (name, own)));
            return;
        };
        let request = match own {
            Some(_) => Request::Commit(next.register, next.version, kind),
            None => Request::Create(next.register),
        };
        let start = self.context.start.elapsed();
        let committed = timeout(PATIENCE, write(&session, next, kind)).await;
        let end = self.context.start.elapsed();
        let user_id = committed.ok().and_then(Result::ok);
        // Without a row, an earlier commit of this register was discarded.
        let (outcome, user_id) = match user_id {
            Some(Some(user_id)) => (Outcome::Ok, Some(user_id)),
            Some(None) => (Outcome::Failed, None),
            None => (Outcome::Unknown, None),
        };
        let position = match outcome {
            Outcome::Ok => timeout(PATIENCE, position(&session)).await.ok().and_then(Result::ok),
            _ => None,
        };
        if let Some(user_id) = user_id {
            self.registers.insert(name, OwnRegister { user_id, ..next });
            if own.is_none() {
                self.context.created().push((user_id, next.register));
            }
        }
        self.operations.push(Operation {
            client: OPERATOR,
            region: region.clone(),
            start,
            end,
            request,
            outcome,
            status: None,
            served_by: Some(format!("{region}; role=primary; reason=operator")),
            instance: None,
            position,
            user_id,
            observed: vec![],
        });
    }
}

fn name(kind: CommitKind) -> &'static str {
    match kind {
        CommitKind::RemovesFiles => "files",
        CommitKind::Asynchronous => "asynchronous",
    }
}

/// A session on the primary, and a table to drop.
async fn prepare(world: &World, kind: CommitKind) -> Result<Session, BoxError> {
    let session = world.primary().client().await?;
    if kind == CommitKind::RemovesFiles {
        session.batch_execute(SIDE_TABLE).await?;
        // A replica that lags replays up to the commit.
        sleep(PAUSE).await;
    }
    Ok(session)
}

/// Commits, and returns the user's id; `None` if there is no such user.
async fn write(
    session: &Session,
    OwnRegister { register, user_id, version }: OwnRegister,
    kind: CommitKind,
) -> Result<Option<i64>, BoxError> {
    let name = register.user_name(version);
    let begin = match kind {
        CommitKind::RemovesFiles => "BEGIN; DROP TABLE side",
        // A register begins with a commit that no crash undoes.
        CommitKind::Asynchronous if version == 1 => "BEGIN",
        CommitKind::Asynchronous => "BEGIN; SET LOCAL synchronous_commit = off",
    };
    session.batch_execute(begin).await?;
    let row = if version == 1 {
        let insert = "INSERT INTO users (name, age) VALUES ($1, 1) RETURNING id";
        session.query_opt(insert, &[&name]).await?
    } else {
        let update = "UPDATE users SET name = $1 WHERE id = $2 RETURNING id";
        session.query_opt(update, &[&name, &user_id]).await?
    };
    session.batch_execute("COMMIT").await?;
    Ok(row.map(|row| row.get(0)))
}

async fn position(session: &Session) -> Result<Position, BoxError> {
    let row = session.query_one(POSITION, &[]).await?;
    let lsn: archipelago_lab::PgLsn = row.get(2);
    Ok(Position {
        system: row.get::<_, i64>(0).cast_unsigned(),
        timeline: row.get::<_, i32>(1).cast_unsigned(),
        lsn: lsn.into(),
    })
}
