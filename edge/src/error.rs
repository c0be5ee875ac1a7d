//! Why the edge responds itself instead of an instance, and with which status.

use std::time::Duration;

use archipelago_lab::LabError;
use hyper::StatusCode;

use crate::headers::replayed::FailureReason;
use crate::places::UnknownPlace;

/// Why no instance's response can be passed on.
///
/// The message goes to the visitor and to the access log, so it must quote no body and no cookie.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error(transparent)]
    UnknownPlace(#[from] UnknownPlace),
    #[error("a browser would read `{path}` as another host: start the path with a single slash")]
    OffSiteRedirect { path: String },
    #[error("the edge forwards HTTP/1.1 and no websockets: connect to the instance's own port")]
    Websocket,
    #[error("the edge opens no tunnels: send a request with a path instead of CONNECT")]
    Connect,
    #[error("the request names a host and no path: begin its target with `/`")]
    NoPath,
    #[error("the edge's own page is read-only: use GET or HEAD")]
    MethodNotAllowed,
    #[error("the header {0} is not ASCII: write the codes of places, separated by `,`")]
    InvalidHeader(&'static str),
    #[error("the request ended before its body was complete: {0}")]
    RequestIncomplete(hyper::Error),
    #[error("no instance can be reached from {place}: {tried}")]
    NoInstanceReached { place: String, tried: String, reason: FailureReason },
    #[error(
        "the instance in {region} closed the connection before it responded, and may have \
         processed the request: check before you repeat it"
    )]
    ConnectionLost { region: String },
    #[error(
        "the instance in {region} has not responded within {waited:?}, and may have processed \
         the request: check before you repeat it"
    )]
    ResponseTimeout { region: String, waited: Duration },
    #[error(
        "the request's body is longer than {limit} bytes, the most that the edge can send again: \
         {region} did not get it"
    )]
    BodyTooLarge { region: String, limit: usize },
    #[error("the fly-replay of the instance in {region} cannot be followed: {why}")]
    InvalidReplay { region: String, why: String },
    #[error(
        "the instance in {region} responded with fly-replay to a request that was already \
         replayed: a request is replayed once"
    )]
    ReplayedTwice { region: String },
    #[error("the edge cannot write a valid request or response: {0}")]
    InvalidHttp(#[from] hyper::http::Error),
    #[error("the tool at this path does not answer: {0}")]
    Tool(std::io::Error),
    #[error(transparent)]
    Link(#[from] LabError),
}

impl ProxyError {
    /// The status of the response that tells the visitor.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::UnknownPlace(_)
            | Self::OffSiteRedirect { .. }
            | Self::InvalidHeader(_)
            | Self::NoPath
            | Self::RequestIncomplete(_) => StatusCode::BAD_REQUEST,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Websocket | Self::Connect => StatusCode::NOT_IMPLEMENTED,
            Self::NoInstanceReached { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::ResponseTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::InvalidHttp(_) | Self::Link(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ConnectionLost { .. }
            | Self::Tool(_)
            | Self::BodyTooLarge { .. }
            | Self::InvalidReplay { .. }
            | Self::ReplayedTwice { .. } => StatusCode::BAD_GATEWAY,
        }
    }
}
