//! Writes from afar: which requests are handed to the primary's region, and the answer that hands them on.
//!
//! The proxy's part is Fly.io's `fly-replay`: <https://fly.io/docs/networking/dynamic-request-routing/>.

use actix_web::http::Version;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::{HttpRequest, HttpResponse, ResponseError, http::StatusCode};

use crate::{RepoSet, Writes};

/// The header of an answer that the proxy keeps for itself: it runs the request again in the region that the header names, and the
/// visitor gets the answer from there. Middleware that replaces or counts failures must know such an answer by it: its status is
/// 409, and nothing has failed.
pub const FLY_REPLAY: &str = "fly-replay";

/// On every request that comes through Fly's proxy: the edge that took it, which is not where this instance runs.
const FLY_REGION: &str = "fly-region";

/// On a request that was handed on, or that came back because nobody there could take it: the proxy hands it on only once.
const HANDED_ON: [&str; 2] = ["fly-replay-src", "fly-replay-failed"];

/// In bytes: the proxy keeps at most 1 MB of a request to send it again.
const LONGEST_BODY: u64 = 1_000_000;

/// The request comes back when the proxy gets no connection to any instance in the primary's region; nothing has run there then.
/// The timeout is time for a stopped instance to start; without one the visitor would wait for the proxy's own, which is longer.
const OTHERWISE: &str = "timeout=5s;fallback=prefer_self";

/// The request belongs to the primary's region.
#[derive(Debug, thiserror::Error)]
#[error(
    "writes run in {region}: the proxy in front of this instance has to run the request again there, as fly-replay says"
)]
pub(super) struct Replay {
    region: &'static str,
}

impl ResponseError for Replay {
    fn status_code(&self) -> StatusCode {
        // Nobody may take it for a success where no proxy obeys.
        StatusCode::CONFLICT
    }

    fn error_response(&self) -> HttpResponse {
        let header = (FLY_REPLAY, format!("region={};{OTHERWISE}", self.region));
        HttpResponse::build(self.status_code()).insert_header(header).body(self.to_string())
    }
}

/// Lets a request through that is to write from here.
///
/// # Errors
/// When it is to be handed on.
pub(super) fn unless_handed_on<R: RepoSet>(repos: &R, request: &HttpRequest) -> Result<(), Replay> {
    // Where the primary is now, and not where it was when this was built.
    let region = repos.leader().info().code;
    let is_afar = !repos.region().is_empty() && repos.region() != region;
    if is_afar && R::WRITES == Writes::Replay && can_be_handed_on(request) {
        Err(Replay { region })
    } else {
        Ok(())
    }
}

fn can_be_handed_on(request: &HttpRequest) -> bool {
    let headers = request.headers();
    headers.contains_key(FLY_REGION)
        && !HANDED_ON.iter().any(|name| headers.contains_key(*name))
        && body_length(request).is_some_and(|length| length <= LONGEST_BODY)
}

/// In bytes; none where the request's head does not say.
fn body_length(request: &HttpRequest) -> Option<u64> {
    let headers = request.headers();
    match headers.get(CONTENT_LENGTH) {
        Some(length) => length.to_str().ok()?.trim().parse().ok(),
        // With neither header a request has no body in HTTP/1, and any in HTTP/2.
        None => (request.version() <= Version::HTTP_11 && !headers.contains_key(TRANSFER_ENCODING))
            .then_some(0),
    }
}
