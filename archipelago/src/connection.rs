//! One connection to a server, and what the server has reported on it.

mod commit;
mod connector;
mod dial;
mod driver;
mod head_starts;
mod lend;
mod lost;
mod negotiation;
mod probe;
mod request;
mod shared_probe;
mod socket;
mod spill;
mod tap;
mod transaction;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel::dsl::sql;
use diesel::sql_types::Integer;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::{FutureExt, TryFutureExt};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_postgres::error::SqlState;

pub(crate) use self::commit::warn_of_unknown_position;
pub(crate) use self::connector::Connector;
pub use self::connector::{connect, connect_with_errors};
use self::driver::Driver;
pub(crate) use self::driver::{Canceller, WORTH_CANCELLING};
pub(crate) use self::lost::HasLost;
use self::probe::Questions;
pub(crate) use self::request::{
    Answer, Execute, FreshnessChecked, Load, Ping, ReadOutcome, Request,
};
use self::shared_probe::SharedProbe;
pub(crate) use self::spill::{SpillPermit, SpillPlaces};
pub use self::transaction::Isolation;
pub(crate) use self::transaction::{
    begin, begin_snapshot, commit_snapshot, read_only_transaction, transaction,
};
use crate::error::{End, Error, QueryError, SessionRecord};
use crate::position::Position;
use crate::region::Role;
use crate::server::{
    HealthRecord, NotFresh, Requirement, ServerIdentity, ServerReport, ServerState,
};
use crate::settings::Safeguard;

/// Commits an empty message. No standby is waited for.
const HEARTBEAT: &str = "BEGIN; SET LOCAL synchronous_commit = local; \
                         SELECT pg_logical_emit_message(true, 'archipelago', 'heartbeat'); COMMIT";

/// What PostgreSQL keeps for others: <https://www.postgresql.org/docs/current/runtime-config-connection.html>.
const CONNECTIONS_ALLOWED: &str = "current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0)";

/// An open connection. Dropping it closes it once the server has answered what was sent.
pub(crate) struct Connection {
    pub(crate) inner: AsyncPgConnection,
    pub(crate) region: &'static str,
    /// How long the server took to answer the last request of the opening.
    pub(crate) round_trip: Duration,
    identity: ServerIdentity,
    questions: Questions,
    opening_report: ServerReport,
    /// The state of the server when it was last asked on this connection.
    state: Mutex<ServerState>,
    health: Arc<HealthRecord>,
    /// This connection, if reads share it: a shared probe may outlive the read that began it.
    shared: Weak<Self>,
    shared_probe: SharedProbe,
    /// Whether the position says too little, by the last report: the replica receives nothing.
    needs_report: AtomicBool,
    driver: Driver,
    session: Arc<SessionRecord>,
}

impl Connection {
    fn new(
        inner: AsyncPgConnection,
        region: &'static str,
        round_trip: Duration,
        (identity, report, questions): (ServerIdentity, ServerReport, Questions),
        health: Arc<HealthRecord>,
        driver: Driver,
        session: Arc<SessionRecord>,
    ) -> Self {
        Self {
            inner,
            region,
            round_trip,
            identity,
            questions,
            opening_report: report,
            state: Mutex::new(health.observe(identity, report, None)),
            health,
            shared: Weak::new(),
            shared_probe: SharedProbe::default(),
            needs_report: AtomicBool::new(report.receives_nothing()),
            driver,
            session,
        }
    }

    /// Lets reads share it, and with it the requests for its state.
    pub(crate) fn into_shared(self) -> Arc<Self> {
        Arc::new_cyclic(|shared| Self { shared: shared.clone(), ..self })
    }

    /// Whether the login role may see on which timeline a replica is.
    pub(crate) fn sees_timelines(&self) -> bool {
        self.identity.sees_timelines
    }

    /// What the server reported when the connection was opened.
    pub(crate) fn opening_report(&self) -> ServerReport {
        self.opening_report
    }

    /// Which server it leads to.
    pub(crate) fn identity(&self) -> ServerIdentity {
        self.identity
    }

    /// The monitoring functions that the login role may not call.
    pub(crate) fn denied_functions(&self) -> &[&'static str] {
        self.questions.denied()
    }

    /// Whether it is of no more use: its socket is closed, or a younger connection is to be used in
    /// its place. Asks nothing of the server.
    pub(crate) fn is_closed(&self) -> bool {
        let session = &self.session;
        session.end() != End::None || session.is_retired()
    }

    /// What the server has said on it.
    pub(crate) fn session(&self) -> &Arc<SessionRecord> {
        &self.session
    }

    /// Holds the permit until another takes its place, or the server is done.
    pub(crate) fn hold(&mut self, permit: Option<SpillPermit>) {
        self.driver.hold(permit);
    }

    /// Has the current runtime drive it.
    pub(crate) fn move_here(&self) {
        self.driver.move_here();
    }

    /// Has the runtime that has opened it drive it. Returns whether another one did.
    pub(crate) fn move_home(&self) -> bool {
        self.driver.move_home()
    }

    /// The runtime that has opened it.
    pub(crate) fn home(&self) -> &Handle {
        self.driver.home()
    }

    /// What cancels the work of the server for this connection.
    pub(crate) fn canceller(&self) -> &Canceller {
        self.driver.canceller()
    }

    /// How many bytes were sent. [`failed`](Self::failed) tells by it whether a statement was.
    pub(crate) fn sent(&self) -> u64 {
        self.session.sent()
    }

    /// The failure of a statement that was begun when `sent` bytes had been sent.
    pub(crate) fn failed(&self, error: diesel::result::Error, sent: u64) -> Error {
        QueryError::new(error, &self.session, self.sent() > sent).into()
    }

    /// The failure of a question for the server's state. Where the login role has just lost the
    /// right to it, a new connection asks without.
    fn question_failed(&self, error: diesel::result::Error, sent: u64) -> Error {
        let error = self.failed(error, sent);
        if error.code() == Some(SqlState::INSUFFICIENT_PRIVILEGE.code()) {
            self.session.retire();
            return error.stale();
        }
        error
    }

    /// Asks for an LSN at or after the last commit on it.
    pub(crate) async fn commit_lsn(&self) -> QueryResult<u64> {
        commit::commit_lsn(&self.inner, self.identity.layout).await
    }

    /// The state of the server when it was last asked here.
    pub(crate) fn state(&self) -> ServerState {
        *self.state.lock()
    }

    /// Asks for the server's state, behind everything sent before. The future sends the request
    /// when it is first polled.
    pub(crate) fn probe(
        &self,
    ) -> impl Future<Output = Result<ServerState, Error>> + Send + use<'_> {
        self.report().map_ok(|(_, state)| state)
    }

    /// As [`probe`](Self::probe), with the report that the state follows from.
    pub(crate) fn report(
        &self,
    ) -> impl Future<Output = Result<(ServerReport, ServerState), Error>> + Send + use<'_> {
        let layout = self.identity.layout;
        let report = probe::report(&self.inner, &self.questions, layout);
        let sent = self.sent();
        // Several tasks read the answers of one connection, in any order: what a later one has shown
        // says nothing of the server when this one was made.
        let before = self.state();
        async move {
            let report = report.await.map_err(|error| self.question_failed(error, sent))?;
            self.needs_report.store(report.receives_nothing(), Ordering::Relaxed);
            let state = self.health.observe(self.identity, report, Some(before));
            self.state.lock().advance(state);
            Ok((report, state))
        }
    }

    /// Like [`probe`](Self::probe), in one request with the other reads that want to send it now.
    pub(crate) async fn probe_with_others(&self) -> Result<ServerState, Error> {
        match self.shared.upgrade() {
            Some(shared) => self.shared_probe.ask(shared).await,
            None => self.probe().boxed().await,
        }
    }

    /// Asks how far the server is. The rest of its state is asked again when it is older than
    /// `limit`: the whole report costs `PostgreSQL` five times as much as its position.
    async fn probe_position(&self, limit: Duration) -> Result<ServerState, Error> {
        let known = self.state();
        let may_ask = self.questions.denied().is_empty();
        if known.asked.elapsed() > limit || !may_ask || self.needs_report.load(Ordering::Relaxed) {
            return self.probe().await;
        }
        match known.role {
            Role::Primary => self.probe_inserted(known).await,
            Role::Replica => self.probe_replayed(known).await,
        }
    }

    /// Asks a primary how far it has inserted.
    async fn probe_inserted(&self, known: ServerState) -> Result<ServerState, Error> {
        let (asked, sent) = (Instant::now(), self.sent());
        let lsn = probe::inserted(&self.inner).await;
        let lsn = lsn.map_err(|error| self.question_failed(error, sent))?;
        let lsn = self.identity.layout.end_of_record(lsn);
        let newest = self.health.leadership.view().newest;
        let mut state = self.state.lock();
        *state = state.inserted(lsn, asked, newest);
        Ok(known.inserted(lsn, asked, newest))
    }

    /// Asks a replica how far it has replayed.
    async fn probe_replayed(&self, known: ServerState) -> Result<ServerState, Error> {
        let sent = self.sent();
        let replayed = probe::replayed(&self.inner).await;
        match replayed.map_err(|error| self.question_failed(error, sent))? {
            Some((lsn, is_settled)) => {
                let is_settled = is_settled || !self.bounds_from_above();
                let mut state = self.state.lock();
                if state.timeline == known.timeline {
                    *state = state.replayed(lsn, is_settled);
                }
                Ok(known.replayed(lsn, is_settled))
            }
            None => self.probe().await,
        }
    }

    /// Whether what the server has shown is bounded from above. A test may switch that off.
    fn bounds_from_above(&self) -> bool {
        self.health.leadership.safeguards.has(Safeguard::Bound)
    }

    /// Whether a server in this state satisfies the requirement of a read.
    pub(crate) fn meets(
        &self,
        requirement: Requirement,
        state: &ServerState,
    ) -> Result<(), NotFresh> {
        self.health.meets(requirement, self.identity, state, Instant::now())
    }

    /// Whether it leads to another database than the primary.
    pub(crate) fn is_foreign(&self) -> bool {
        self.health.leadership.is_foreign(self.identity.system)
    }

    /// Whether it leads to a server that takes writes and does not lead: they would be lost.
    pub(crate) fn is_rival_primary(&self) -> bool {
        let state = self.state();
        let has_begun = self.health.leadership.view().has_begun;
        state.role == Role::Primary && has_begun && !self.is_led(&state)
    }

    fn is_led(&self, state: &ServerState) -> bool {
        self.health.leadership.is_led_by(self.region, self.identity, state.timeline)
    }

    /// The position of `lsn` on a timeline of this server.
    pub(crate) fn position(&self, lsn: u64, timeline: u32) -> Position {
        Position { system: self.identity.system, timeline, lsn }
    }

    /// How many connections the server takes from roles without privileges, of all programs together.
    pub(crate) async fn connections_allowed(&self) -> diesel::QueryResult<i32> {
        let allowed = diesel::select(sql::<Integer>(CONNECTIONS_ALLOWED));
        diesel_async::RunQueryDsl::get_result(allowed, &mut &self.inner).await
    }

    /// Has the primary commit an empty message, so that replicas can tell the age of what they
    /// show. A read-only session may do this: it changes nothing that a query can see.
    pub(crate) async fn send_heartbeat(&self) -> diesel::QueryResult<()> {
        let sent = (&mut &self.inner).batch_execute(HEARTBEAT).await;
        if sent.is_err() {
            // The transaction has failed, and would refuse every question.
            (&mut &self.inner).batch_execute("ROLLBACK").await?;
        }
        sent
    }
}
