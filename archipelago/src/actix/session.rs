//! What one request asked of the databases, and the headers and the cookie that tell its visitor.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest};

use super::cookie;
use crate::{Position, Role, ServedBy};

/// Which databases a request was served by so far. The extractors of one request share it.
#[derive(Clone, Debug, Default)]
pub struct Trace(Rc<RefCell<Asked>>);

#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    served_by: Option<ServedBy>,
    elapsed: Duration,
    /// What the visitor brought, and what reads have shown since.
    position: Option<Position>,
    has_seen: bool,
    /// What this request has written.
    written: Option<Position>,
}

impl Trace {
    /// The trace of `request`.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Self {
        if let Some(trace) = request.extensions().get::<Self>() {
            return trace.clone();
        }
        let trace = Self::default();
        request.extensions_mut().insert(trace.clone());
        trace
    }

    /// Who served the last query and how long all of them took, checkout included. None before the first.
    #[must_use]
    pub fn served(&self) -> Option<(ServedBy, Duration)> {
        let asked = self.0.borrow();
        asked.served_by.map(|served_by| (served_by, asked.elapsed))
    }

    /// Counts the time of a query that began at `start`. A database that gave no answer has served nobody.
    pub(super) fn count(&self, served_by: Option<ServedBy>, start: Instant) {
        let mut asked = self.0.borrow_mut();
        asked.elapsed += start.elapsed();
        asked.served_by = served_by;
    }

    /// The position of what the visitor has written and seen: before, and in this request.
    pub(super) fn position(&self) -> Option<Position> {
        let asked = self.0.borrow();
        later(asked.position, asked.written)
    }

    /// The visitor brings this.
    pub(super) fn has_brought(&self, position: Option<Position>) {
        self.0.borrow_mut().position = position;
    }

    /// Something was read there. What a primary says is the truth on its timeline: what the visitor has seen that is later, nobody
    /// could ever show again. What was written may be later for a moment, where a commit does not wait until it is flushed.
    pub(super) fn has_seen(&self, position: Position, role: Role) {
        let mut asked = self.0.borrow_mut();
        let is_untrue = |known: &Position| role == Role::Primary && *known > position;
        let known = asked.position.filter(|known| !is_untrue(known));
        asked.position = later(known, Some(position));
        asked.has_seen = true;
    }

    /// Something was written there.
    pub(super) fn has_written(&self, position: Position) {
        let mut asked = self.0.borrow_mut();
        asked.written = later(asked.written, Some(position));
    }
}

fn later(one: Option<Position>, other: Option<Position>) -> Option<Position> {
    one.into_iter().chain(other).reduce(Position::or_later)
}

/// Middleware: `x-served-by` and `server-timing` on every answer that asked a database, and the position that it showed, as a cookie
/// and as a header. For [`from_fn`](actix_web::middleware::from_fn).
///
/// # Errors
/// What the handler's are.
pub async fn answer_for(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let trace = Trace::of(request.request());
    let mut response = next.call(request).await?;
    let asked = *trace.0.borrow();
    if let Some(served_by) = asked.served_by {
        let timing = format!("db;dur={:.1}", asked.elapsed.as_secs_f64() * 1000.0);
        for (name, value) in [("x-served-by", served_by.to_string()), ("server-timing", timing)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
    }
    cookie::give(&mut response, asked.written, asked.position.filter(|_| asked.has_seen));
    Ok(response)
}
