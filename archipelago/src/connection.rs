//! One connection, and what its server has said on it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, WeakShared};
use tokio_util::task::AbortOnDropHandle;

use crate::cluster::HealthRecord;
use crate::freshness::{Need, Unmet};
use crate::pool::lock;
use crate::state::{self, Said, Server, State};
use crate::{Error, Position, Protection, Role};

/// In microseconds: an answer on a line where a crowd of reads may keep the server busier than the line is long.
const SHORT: u64 = 5000;

/// For how long a replica counts as the one that it was: role and timeline. Whoever looks at it tells all others, so this is how late
/// a new timeline may be known.
const MOMENT: Duration = Duration::from_millis(100);

const BEAT: &str = "BEGIN; SET LOCAL synchronous_commit = local; \
                    SELECT pg_logical_emit_message(true, 'archipelago', 'heartbeat'); COMMIT";

/// A connection of a pool. Dropped, it is closed, whatever the server still owes on it.
pub(crate) struct Connection {
    pub(crate) inner: AsyncPgConnection,
    pub(crate) region: &'static str,
    /// How long the server took to answer the last question of the opening.
    pub(crate) round_trip: Duration,
    /// Whose it is.
    server: Server,
    /// How the server stood when it was last asked on this connection.
    state: Mutex<State>,
    health: Arc<HealthRecord>,
    /// Itself, where reads share it.
    shared: Weak<Self>,
    /// The quickest answer so far, in microseconds.
    quickest: AtomicU64,
    /// Held by the question for the place in the log that is under way.
    askers: tokio::sync::Mutex<()>,
    /// The next one.
    about_to_ask: Mutex<Option<WeakShared<BoxFuture<'static, Option<State>>>>>,
    driver: AbortOnDropHandle<()>,
}

impl Connection {
    pub(crate) fn new(
        inner: AsyncPgConnection,
        region: &'static str,
        round_trip: Duration,
        (server, said): (Server, Said),
        health: Arc<HealthRecord>,
        driver: AbortOnDropHandle<()>,
    ) -> Self {
        Self {
            inner,
            region,
            round_trip,
            server,
            state: Mutex::new(health.settle(server, said, None)),
            health,
            shared: Weak::new(),
            quickest: AtomicU64::new(u64::MAX),
            askers: tokio::sync::Mutex::new(()),
            about_to_ask: Mutex::default(),
            driver,
        }
    }

    /// To be shared by the reads of a thread.
    pub(crate) fn into_shared(self) -> Arc<Self> {
        Arc::new_cyclic(|shared| Self { shared: shared.clone(), ..self })
    }

    /// Whether a replica can say for certain on which timeline it is.
    pub(crate) fn tells_timelines(&self) -> bool {
        self.server.tells_timelines
    }

    /// Whether the socket is closed, as far as anybody has noticed. Asks nothing of the server.
    pub(crate) fn is_closed(&self) -> bool {
        self.driver.is_finished()
    }

    /// How the server stood when it was last asked here. It has only moved forward since.
    pub(crate) fn state(&self) -> State {
        *lock(&self.state)
    }

    /// Asks how the server stands, behind whatever was sent before, when the future is first polled.
    pub(crate) fn ask_state(&self) -> impl Future<Output = Result<State, Error>> + Send + use<'_> {
        let said = state::ask(&self.inner);
        async move {
            let said = said.await?;
            let mut state = lock(&self.state);
            *state = self.health.settle(self.server, said, Some(*state));
            Ok(*state)
        }
    }

    /// The same, in one question with whoever else asks it before it can be sent. On a short line one is under way at a time: a read
    /// that comes alone does not wait, and a crowd of them shares a few.
    pub(crate) async fn ask_state_with_others(&self) -> Result<State, Error> {
        let Some(shared) = self.shared.upgrade() else { return self.ask_state().boxed().await };
        let question = {
            let mut about_to_ask = lock(&self.about_to_ask);
            let waiting = about_to_ask.as_ref().and_then(WeakShared::upgrade);
            waiting.unwrap_or_else(|| {
                let ask = async move {
                    let is_near = shared.quickest.load(Ordering::Relaxed) < SHORT;
                    let _turn = if is_near { Some(shared.askers.lock().await) } else { None };
                    lock(&shared.about_to_ask).take();
                    let asked = Instant::now();
                    let state = shared.ask_place().await.ok();
                    let took = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
                    shared.quickest.fetch_min(took, Ordering::Relaxed);
                    state
                };
                let question = ask.boxed().shared();
                *about_to_ask = question.downgrade();
                question
            })
        };
        let broke = || Error::Unreachable {
            region: self.region,
            reason: "the connection broke".to_owned(),
        };
        question.await.ok_or_else(broke)
    }

    /// Asks how far the server is, and nothing else as long as the rest was asked a moment ago: a replica's whole state costs
    /// `PostgreSQL` four times as much.
    async fn ask_place(&self) -> Result<State, Error> {
        let known = self.state();
        if known.role == Role::Primary || known.asked.elapsed() > MOMENT {
            return self.ask_state().await;
        }
        match state::ask_replayed(&self.inner).await? {
            Some(lsn) => {
                let mut state = lock(&self.state);
                state.lsn = state.lsn.max(lsn);
                Ok(*state)
            }
            // It was promoted meanwhile.
            None => self.ask_state().await,
        }
    }

    /// Whether a server that stands so may answer a read that needs this.
    pub(crate) fn meets(&self, need: Need, state: &State) -> Result<(), Unmet> {
        let lineage = &self.health.lineage;
        if self.is_foreign() {
            return Err(Unmet::NotPrimary);
        }
        let newest =
            if lineage.protections.include(Protection::Role) { lineage.newest() } else { 0 };
        need.met_by(state, self.server.system, newest)
    }

    /// Whether it leads to another database than the primary.
    pub(crate) fn is_foreign(&self) -> bool {
        self.health.lineage.is_foreign(self.server.system)
    }

    /// Whether it leads to a primary that was replaced: it goes on taking writes, and nobody will ever see them.
    pub(crate) fn is_of_the_past(&self) -> bool {
        let state = self.state();
        state.role == Role::Primary && self.health.lineage.has_left(state.timeline)
    }

    /// The position that has everything up to `lsn` behind it, on the timeline that the server was last on.
    pub(crate) fn position(&self, lsn: u64, timeline: u32) -> Position {
        Position { system: self.server.system, timeline, lsn }
    }

    /// Has the primary commit something, so that replicas can tell how old it is what they show. A read-only session may: it
    /// changes nothing that anybody can see. No standby is waited for.
    pub(crate) async fn beat(&self) -> diesel::QueryResult<()> {
        (&mut &self.inner).batch_execute(BEAT).await
    }
}
