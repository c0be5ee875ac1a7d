//! What can go wrong with a request, and the one place where a failure gets its HTTP status.

use std::time::Duration;

use actix_web::ResponseError;
use actix_web::http::StatusCode;
use archipelago::Error;

/// Why a request got no page of its own. `pages::failure` makes one of it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The id is nobody's.
    #[error("there is no such user")]
    NoSuchUser,
    /// The request makes no sense; what to do about it.
    #[error("{0}")]
    Nonsense(&'static str),
    /// Another site made the visitor's browser send this.
    #[error("a write from another site was refused")]
    CrossSite,
    /// A database did not answer, or refused.
    #[error(transparent)]
    Database(#[from] Error),
    /// A page could not be rendered.
    #[error(transparent)]
    Page(#[from] askama::Error),
}

impl Failure {
    /// When the same request may be worth another attempt; none where it would fail again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Database(error) => error.retry_after(),
            _ => None,
        }
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NoSuchUser => StatusCode::NOT_FOUND,
            Self::Nonsense(_) => StatusCode::BAD_REQUEST,
            Self::CrossSite => StatusCode::FORBIDDEN,
            Self::Database(error) => error.status_code(),
            Self::Page(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
