//! The answer that has the proxy run a write in the primary's region.

use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::http::{StatusCode, Version};
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use crate::repo_set::RepoSet;
use crate::visitor::{FLY_REGION, FLY_REPLAY, REPLAY_MARKS, WriteRequest, should_replay};

/// The request comes back if the proxy gets no connection to any instance in the primary's region;
/// then nothing has run there. The timeout lets a stopped instance start. Without it the visitor
/// would wait for the proxy's own timeout, which is longer.
const FALLBACK: &str = "timeout=5s;fallback=prefer_self";

/// A request that belongs to the primary's region.
#[derive(Debug, thiserror::Error)]
#[error(
    "writes run in {region}: the proxy in front of this instance has to run the request again \
     there, as fly-replay says"
)]
pub(super) struct Replay {
    region: &'static str,
}

impl ResponseError for Replay {
    /// Not a success: the answer may reach a visitor where no proxy obeys it.
    fn status_code(&self) -> StatusCode {
        StatusCode::CONFLICT
    }

    fn error_response(&self) -> HttpResponse {
        let header = (FLY_REPLAY, format!("region={};{FALLBACK}", self.region));
        HttpResponse::build(self.status_code()).insert_header(header).body(self.to_string())
    }
}

/// Passes a request that may write from here.
///
/// # Errors
/// If the proxy has to replay it.
pub(super) fn pass_or_replay<R: RepoSet>(repos: &R, request: &HttpRequest) -> Result<(), Replay> {
    let headers = request.headers();
    // The region of the leader: after a promotion it is another than at build time.
    let region = repos.leader().info().code;
    let write = WriteRequest {
        here: repos.region(),
        primary: region,
        is_proxied: headers.contains_key(FLY_REGION),
        was_replayed: REPLAY_MARKS.iter().any(|name| headers.contains_key(*name)),
        body_length: body_length(request),
    };
    if should_replay(R::WRITES, write) { Err(Replay { region }) } else { Ok(()) }
}

/// In bytes. None if the head of the request does not tell.
fn body_length(request: &HttpRequest) -> Option<u64> {
    let headers = request.headers();
    match headers.get(CONTENT_LENGTH) {
        Some(length) => length.to_str().ok()?.trim().parse().ok(),
        // Without these headers a request has no body in HTTP/1, and any body in HTTP/2.
        None => (request.version() <= Version::HTTP_11 && !headers.contains_key(TRANSFER_ENCODING))
            .then_some(0),
    }
}
