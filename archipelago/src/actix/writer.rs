//! `Writer`: a handler's access to the primary.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, Version};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};

use super::session::{registered, visitors_session};
use crate::repo_set::RepoSet;
use crate::visitor::{Replay, Session, WriteRequest};
use crate::write::Primary;

/// Writes for one request, which runs in the primary's region: see [writes from
/// afar](super#writes-from-afar). After a write the answer carries the commit's position to the
/// visitor, in a signed cookie, so that their next read shows the write in any region.
///
/// Make it the first argument of a handler: other arguments before it could refuse the request, or
/// act on it, in the wrong region.
#[derive(Debug)]
pub struct Writer<R: RepoSet> {
    repos: Data<R>,
    session: Session,
}

impl<R: RepoSet> Writer<R> {
    /// The handle that writes for this request's visitor.
    #[must_use]
    pub fn primary(&self) -> Primary<'_> {
        self.repos.primary().for_visitor(&self.session)
    }
}

impl<R: RepoSet> FromRequest for Writer<R> {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(registered::<R>(request).and_then(|repos| {
            let value = |name: &str| request.headers().get(name)?.to_str().ok();
            let is_http2 = request.version() > Version::HTTP_11;
            match repos.replay(WriteRequest::new(value, is_http2)) {
                Some(replay) => Err(replay.into()),
                None => Ok(Self { repos, session: visitors_session(request) }),
            }
        }))
    }
}

impl ResponseError for Replay {
    fn status_code(&self) -> StatusCode {
        StatusCode::CONFLICT
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status_code()).insert_header(self.header()).body(self.to_string())
    }
}
