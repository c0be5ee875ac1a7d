//! `Reader`: a handler's access to the replicas.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};

use super::session::{registered, visitors_session};
use crate::read::Replica;
use crate::repo_set::RepoSet;
use crate::visitor::Session;

/// Reads for one request, from a database near this instance that is fresh enough. The answer shows
/// at least what the visitor has written and seen before, and is at most
/// [`MAX_LAG`](crate::RegionSet::MAX_LAG) behind.
///
/// It gives no handle that writes. Visitors carry what they have seen in a cookie or a header, which
/// every answer that has read renews.
#[derive(Debug)]
pub struct Reader<R: RepoSet> {
    repos: Data<R>,
    session: Session,
}

impl<R: RepoSet> Reader<R> {
    /// The handle that reads for this request's visitor.
    #[must_use]
    pub fn replica(&self) -> Replica<'_> {
        self.repos.replica().for_visitor(&self.session)
    }
}

impl<R: RepoSet> FromRequest for Reader<R> {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let session = visitors_session(request);
        ready(registered(request).map(|repos| Self { repos, session }))
    }
}
