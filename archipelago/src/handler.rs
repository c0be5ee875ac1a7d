//! `Reader` and `Writer`: what a handler of a request takes, in any web framework.

use std::sync::Arc;

use crate::read::Replica;
use crate::repo_set::RepoSet;
use crate::visitor::{Replay, Session, WriteRequest};
use crate::write::Primary;

/// Reads for one request, from a database near this instance that is fresh enough. The answer shows
/// at least what the visitor has written and seen before, and is at most
/// [`MAX_LAG`](crate::RegionSet::MAX_LAG) behind.
///
/// It gives no handle that writes. Visitors carry what they have seen in a cookie or a header, which
/// every answer that has read renews. Clones are for the same request: a task that it spawns may own
/// one.
#[derive(Debug)]
pub struct Reader<R: RepoSet> {
    repos: Arc<R>,
    session: Session,
}

/// Writes for one request, which runs in the primary's region. After a write the answer carries the
/// commit's position to the visitor, in a signed cookie, so that their next read shows the write in
/// any region.
///
/// Make it the first argument of a handler: other arguments before it could refuse the request, or
/// act on it, in the wrong region.
///
/// # Writes from afar
///
/// Behind Fly.io's proxy, an instance outside of the primary's region answers with the header
/// [`fly-replay`](crate::visitor::FLY_REPLAY) before the body is read or the handler runs, and the
/// proxy runs the request there. The position cookie then comes from that instance, so all instances
/// need the same keys.
///
/// An instance writes over the long line itself in these cases: the set of repos says `writes
/// direct`; no proxy is in front (no `fly-region` header); the request was replayed already; its
/// body is longer than 1 MB, or its head does not tell how long the body is.
#[derive(Debug)]
pub struct Writer<R: RepoSet> {
    repos: Arc<R>,
    session: Session,
}

impl<R: RepoSet> Reader<R> {
    /// Reads for the request of this session.
    pub fn new(repos: Arc<R>, session: Session) -> Self {
        Self { repos, session }
    }

    /// The handle that reads for this request's visitor.
    #[must_use]
    pub fn replica(&self) -> Replica<'_> {
        self.repos.replica().for_visitor(&self.session)
    }
}

impl<R: RepoSet> Writer<R> {
    /// Writes for the request of this session, whose head is `request`.
    ///
    /// # Errors
    /// The answer that has the proxy run the request in the primary's region.
    pub fn new(repos: Arc<R>, session: Session, request: WriteRequest) -> Result<Self, Replay> {
        match repos.replay(request) {
            Some(replay) => Err(replay),
            None => Ok(Self { repos, session }),
        }
    }

    /// The handle that writes for this request's visitor.
    #[must_use]
    pub fn primary(&self) -> Primary<'_> {
        self.repos.primary().for_visitor(&self.session)
    }
}

impl<R: RepoSet> Clone for Reader<R> {
    fn clone(&self) -> Self {
        Self { repos: self.repos.clone(), session: self.session.clone() }
    }
}

impl<R: RepoSet> Clone for Writer<R> {
    fn clone(&self) -> Self {
        Self { repos: self.repos.clone(), session: self.session.clone() }
    }
}
