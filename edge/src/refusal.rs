//! Why the edge gives an answer of its own instead of an instance's, and with which status.

use std::time::Duration;

use hyper::StatusCode;

use crate::map::UnknownPlace;
use crate::upload::{LONGEST, NotAgain};
use archipelago_lab::LabError;

/// Said to the visitor, and shown on the edge's own page: nothing here may come from a body or a cookie.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    UnknownPlace(#[from] UnknownPlace),
    #[error("a browser would take `{path}` for another host: write a path with one slash in front")]
    OffSite { path: String },
    #[error("the edge carries HTTP/1.1 and no websockets: connect to an instance's own port")]
    Websocket,
    #[error("the edge is no proxy for other hosts: send it paths of its own")]
    Connect,
    #[error("the edge's own page can only be read: GET it")]
    ReadOnly,
    #[error("{0} cannot be read: write codes of places, with `,` between them")]
    Unreadable(&'static str),
    #[error("the request broke off before it was complete: {0}")]
    Broken(hyper::Error),
    #[error("no instance can be reached from {place}: {tried}")]
    Nobody { place: String, tried: String, reason: Reason },
    #[error(
        "the instance in {region} broke off before it answered, and may have done what it was asked: look before you repeat it"
    )]
    Lost { region: String },
    #[error(
        "the instance in {region} has not answered within {waited:?}, and may have done what it was asked: look before you repeat it"
    )]
    Late { region: String, waited: Duration },
    #[error(
        "the request's body is longer than {LONGEST} bytes, and no more than that is kept to be sent again: {region} did not get it"
    )]
    TooLong { region: String },
    #[error("the fly-replay of the instance in {region} cannot be obeyed: {why}")]
    BadReplay { region: String, why: String },
    #[error(
        "the instance in {region} answered a request that was replayed already with fly-replay: a request is replayed once"
    )]
    Twice { region: String },
    #[error("the edge cannot make this request its own: {0}")]
    Http(#[from] hyper::http::Error),
    #[error(transparent)]
    Lab(#[from] LabError),
}

/// Why nobody was reached, in the words of `fly-replay-failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    NoCandidate,
    RetriesExhausted,
    Timeout,
}

impl Reason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NoCandidate => "no_candidate",
            Self::RetriesExhausted => "retries_exhausted",
            Self::Timeout => "timeout",
        }
    }
}

impl Refusal {
    /// An answer of the instance in `region` that cannot be obeyed.
    pub(crate) fn bad_replay(region: &str, why: &dyn ToString) -> Self {
        Self::BadReplay { region: region.to_owned(), why: why.to_string() }
    }

    /// A body that cannot be sent again, to `region`.
    pub(crate) fn not_again(region: &str, why: NotAgain) -> Self {
        match why {
            NotAgain::TooLong => Self::TooLong { region: region.to_owned() },
            NotAgain::Broken(error) => Self::Broken(error),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::UnknownPlace(_)
            | Self::OffSite { .. }
            | Self::Unreadable(_)
            | Self::Broken(_) => StatusCode::BAD_REQUEST,
            Self::ReadOnly => StatusCode::METHOD_NOT_ALLOWED,
            Self::Websocket | Self::Connect => StatusCode::NOT_IMPLEMENTED,
            Self::Nobody { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Late { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Http(_) | Self::Lab(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Lost { .. }
            | Self::TooLong { .. }
            | Self::BadReplay { .. }
            | Self::Twice { .. } => StatusCode::BAD_GATEWAY,
        }
    }
}
