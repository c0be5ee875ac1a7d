//! What one request has seen and written, kept in the Actix request for extractors and middleware.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest};

use super::cookie::brought_positions;
use crate::position::Position;
use crate::region::{Role, ServedBy};
use crate::repo_set::RepoSet;
use crate::visitor::Session;

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

    /// The session of `request`, with the position that its visitor brings.
    pub(super) fn with_visitor<R: RepoSet>(repos: &R, request: &HttpRequest) -> Self {
        let session = Self::of(request);
        if session.position().is_none() {
            let leadership = repos.cluster().leadership();
            let brought = brought_positions(request).into_iter().flatten();
            let position =
                brought.filter(|it| !leadership.is_foreign(it.system)).reduce(Position::or_later);
            session.0.borrow_mut().set_brought(position);
        }
        session
    }

    pub(super) fn get(&self) -> Session {
        *self.0.borrow()
    }

    pub(super) fn position(&self) -> Option<Position> {
        self.0.borrow().position()
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
