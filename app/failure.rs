//! Why a request can fail, and the HTTP status of each failure.

use std::time::Duration;

use actix_web::ResponseError;
use actix_web::http::StatusCode;
use archipelago::Error;

/// Why a request failed. `pages::error_pages` makes a page of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// No user has the id of the URL.
    #[error("there is no such user")]
    NoSuchUser,
    /// The request cannot be understood. The text tells the visitor what would be right.
    #[error("{0}")]
    BadRequest(&'static str),
    /// A page of another site made the visitor's browser send this write.
    #[error("a write from another site was refused")]
    CrossSite,
    /// The body of the request did not come in time.
    #[error("the request's body did not come in time")]
    SlowBody,
    /// As many visitors send a body as this instance waits for.
    #[error("too many requests send a body at once")]
    Crowded,
    /// A query failed.
    #[error(transparent)]
    Database(#[from] Error),
    /// The page could not be rendered.
    #[error(transparent)]
    Render(#[from] askama::Error),
}

impl Failure {
    /// When another attempt may succeed; none if it would fail again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Database(error) => error.retry_after(),
            Self::Crowded => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NoSuchUser => StatusCode::NOT_FOUND,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::CrossSite => StatusCode::FORBIDDEN,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::Crowded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(error) => error.status_code(),
            Self::Render(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use archipelago::{NotServed, Tried};

    use super::*;

    #[test]
    fn each_failure_has_its_status_and_its_time_to_retry() {
        let (region, waited) = ("ord", Duration::from_secs(1));
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let not_served = |reason| {
            Failure::Database(Error::NotServed { tried: vec![Tried::new(region, reason)] })
        };
        for (failure, status, retry_after) in [
            (Failure::NoSuchUser, 404, None),
            (Failure::BadRequest("say what"), 400, None),
            (Failure::CrossSite, 403, None),
            (Failure::Database(Error::Busy { region, waited }), 503, seconds(5)),
            (not_served(NotServed::Spilled), 503, seconds(1)),
            (not_served(NotServed::Lagging), 503, seconds(5)),
            // The write may have happened.
            (Failure::Database(Error::Timeout { region, waited }), 503, None),
            (Failure::SlowBody, 408, None),
            (Failure::Crowded, 503, seconds(1)),
            (Failure::Database(diesel::result::Error::NotFound.into()), 404, None),
            (Failure::Database(diesel::result::Error::RollbackTransaction.into()), 500, None),
            (Failure::Render(askama::Error::Fmt), 500, None),
        ] {
            assert_eq!(failure.status_code().as_u16(), status, "{failure}");
            assert_eq!(failure.retry_after(), retry_after, "{failure}");
        }
    }
}
