//! What one request has seen and written, kept in the Actix request for extractors and middleware.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::dev::ServiceResponse;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest};

use super::cookie;
use crate::cluster::Cluster;
use crate::position::Position;
use crate::region::{Role, ServedBy};
use crate::repo_set::RepoSet;
use crate::server::Freshness;
use crate::visitor::Session;

/// How long visitors keep a position at least.
const SHORTEST_LIFETIME: Duration = Duration::from_mins(10);

/// What one request has read and written so far, and which database served it.
#[derive(Clone, Debug, Default)]
pub struct RequestSession(Rc<RefCell<Session>>);

impl RequestSession {
    /// The session of `request`.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Self {
        if let Some(session) = request.extensions().get::<Self>() {
            return session.clone();
        }
        let session = Self::default();
        request.extensions_mut().insert(session.clone());
        session
    }

    /// The database that served the last query, and the time of all queries, checkouts included.
    /// None before the first query.
    #[must_use]
    pub fn served(&self) -> Option<(ServedBy, Duration)> {
        let session = self.0.borrow();
        session.served_by.map(|served_by| (served_by, session.elapsed))
    }

    /// The session of `request`, with the positions that its visitor brings.
    ///
    /// Visitors keep a position for the longest age that a read of theirs may have: by then every
    /// database that serves such a read shows it.
    pub(super) fn with_visitor<R: RepoSet>(repos: &R, request: &HttpRequest) -> Self {
        let session = Self::of(request);
        let mut inner = session.0.borrow_mut();
        if !inner.knows_brought() {
            inner.set_brought(cookie::brought(request));
        }
        let cluster = repos.cluster();
        drop(inner);
        session.keep_for(cluster.max_lag().unwrap_or_default().max(SHORTEST_LIFETIME));
        session
    }

    /// Has the visitor keep the positions of this request for so long at least.
    pub(super) fn keep_for(&self, age: Duration) {
        let mut session = self.0.borrow_mut();
        session.lifetime = session.lifetime.max(age);
    }

    /// The database that a set of repos reads; 0 while it is unknown. Replaces what the visitor
    /// has seen there if that is of another history, which takes an election.
    pub(super) async fn vet(&self, cluster: &Cluster) -> u64 {
        let system = cluster.leadership().view().system;
        let seen = self.position(system);
        if let Some(seen) = seen.filter(|seen| cluster.leadership().is_unknown(*seen))
            && let Some(instead) = cluster.replacement_for(seen).await
        {
            self.0.borrow_mut().replace_brought(instead);
        }
        system
    }

    /// Gives the visitor what this request has seen and written.
    pub(super) fn give<B>(&self, response: &mut ServiceResponse<B>) {
        cookie::give(response, &self.0.borrow());
    }

    /// How fresh the next read of the database `system` must be, as
    /// [`Session::freshness`] says.
    pub(super) fn freshness(&self, system: u64) -> Option<Freshness> {
        self.0.borrow().freshness(system)
    }

    /// The latest position of the database `system` that the visitor has seen or written.
    pub(super) fn position(&self, system: u64) -> Option<Position> {
        self.0.borrow().position(system)
    }

    pub(super) fn record_query(&self, served_by: Option<ServedBy>, begun: Instant) {
        self.0.borrow_mut().record_query(served_by, begun.elapsed());
    }

    pub(super) fn record_read(&self, position: Position, role: Role) {
        self.0.borrow_mut().record_read(position, role);
    }

    pub(super) fn record_write(&self, position: Position) {
        self.0.borrow_mut().record_write(position);
    }
}

/// The repos that [`configure`](super::configure) has registered.
pub(super) fn registered<R: RepoSet>(request: &HttpRequest) -> Result<Data<R>, actix_web::Error> {
    request.app_data::<Data<R>>().cloned().ok_or_else(|| {
        actix_web::error::ErrorInternalServerError(
            "no repos are registered; configure the app with archipelago::actix::configure",
        )
    })
}
