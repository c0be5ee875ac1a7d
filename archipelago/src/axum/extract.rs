//! `Reader` and `Writer` out of an axum request.

use std::sync::Arc;

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use http::{StatusCode, Version};

use crate::handler::{Reader, Writer};
use crate::repo_set::RepoSet;
use crate::visitor::{Replay, Session, WriteRequest};

/// Why a request gets no [`Reader`] or [`Writer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// It writes, and the proxy has to run it in the primary's region. Nothing has failed.
    #[error(transparent)]
    Replay(#[from] Replay),
    /// A mistake of the program.
    #[error(
        "no repos are registered; add .layer(archipelago::axum::VisitorLayer::new(repos, keys)) to \
         the router, below its routes"
    )]
    NoLayer,
}

impl<R: RepoSet + 'static, S: Sync> FromRequestParts<S> for Reader<R> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let (repos, session) = registered(parts)?;
        Ok(Self::new(repos, session))
    }
}

impl<R: RepoSet + 'static, S: Sync> FromRequestParts<S> for Writer<R> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let (repos, session) = registered(parts)?;
        let value = |name: &str| parts.headers.get(name)?.to_str().ok();
        let head = WriteRequest::new(value, parts.version > Version::HTTP_11);
        Ok(Self::new(repos, session, head)?)
    }
}

/// What the layer has added to the request.
fn registered<R: RepoSet + 'static>(parts: &Parts) -> Result<(Arc<R>, Session), Rejection> {
    let repos = parts.extensions.get::<Arc<R>>().cloned();
    repos.zip(parts.extensions.get::<Session>().cloned()).ok_or(Rejection::NoLayer)
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        match self {
            Self::Replay(replay) => replay.into_response(),
            Self::NoLayer => {
                tracing::error!("{self}");
                (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
            }
        }
    }
}

impl IntoResponse for Replay {
    fn into_response(self) -> Response {
        (StatusCode::CONFLICT, [self.header()], self.to_string()).into_response()
    }
}
