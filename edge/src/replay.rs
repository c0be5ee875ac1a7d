//! Follows `fly-replay`: sends the request to the target that the response names, and back to the
//! instance that asked for the replay if no target can be reached.

use std::time::{Duration, Instant, SystemTime};

use http_body_util::{BodyExt, Limited};
use hyper::header::HeaderValue;
use hyper::{Method, Response, body::Incoming};
use tokio::time::timeout;

use crate::access_log::Hops;
use crate::error::ProxyError;
use crate::headers::fly_replay::{Fallback, FlyReplay};
use crate::headers::replayed::{self, FailureReason};
use crate::headers::{FLY_REPLAY, FLY_REPLAY_FAILED, FLY_REPLAY_SRC};
use crate::router::Router;
use crate::upstream::{Timeouts, UpstreamRequest};

/// How much of a response with `fly-replay` is read, in bytes and time, so that its connection can
/// be used again. A connection with a longer or slower response is closed.
const DISCARD_LIMIT: (usize, Duration) = (64 * 1024, Duration::from_secs(1));

/// Follows the `fly-replay` in the response of the instance in `source`. A response without one is
/// returned as it is.
pub(crate) async fn follow(
    response: Response<Incoming>,
    source: &str,
    mut request: UpstreamRequest<'_>,
    router: &Router,
    timeouts: Timeouts,
    hops: &mut Hops,
) -> Result<Response<Incoming>, ProxyError> {
    let invalid = |why: &dyn ToString| ProxyError::InvalidReplay {
        region: source.to_owned(),
        why: why.to_string(),
    };
    let Some(replay) = FlyReplay::of(response.headers()).map_err(|error| invalid(&error))? else {
        return Ok(response);
    };
    tokio::spawn(discard(response));

    let place = &request.pools.place;
    let targets =
        router.replay_candidates(place, source, &replay).map_err(|error| invalid(&error))?;
    let began = Instant::now();
    let replay_source = replayed::source(source, &replay, SystemTime::now());
    let replay_source = HeaderValue::from_str(&replay_source).map_err(|error| invalid(&error))?;
    request.parts.headers.insert(FLY_REPLAY_SRC, replay_source);
    let replay_timeouts = replay_timeouts(replay.timeout, &request.parts.method, timeouts);
    let error = match request.send_to_first_of(&targets, replay_timeouts).await {
        Ok((region, response)) => {
            hops.replayed = Some(region.clone());
            return without_replay(region, response);
        }
        Err(error) => error,
    };

    let reason = reason_to_return(&error, &request.parts.method);
    let (Some(fallback), Some(reason)) = (replay.fallback, reason) else { return Err(error) };
    hops.failed = Some(reason.as_str());
    let named = replay.regions.first().map(String::as_str);
    let target = targets.first().copied().or(named).unwrap_or_default();
    let failure = replayed::failure(source, target, replay.app.as_deref(), reason, began.elapsed());
    let failure = HeaderValue::from_str(&failure).map_err(|error| invalid(&error))?;
    request.parts.headers.insert(FLY_REPLAY_FAILED, failure);
    request.parts.headers.remove(FLY_REPLAY_SRC);
    let candidates = fallback_candidates(fallback, source, &router.nearest(place));
    let (region, response) = request.send_to_first_of(&candidates, timeouts).await?;
    hops.instance = Some(region.clone());
    without_replay(region, response)
}

/// The timeouts of a replay whose `fly-replay` says `timeout=`.
///
/// A request that was sent cannot be cancelled. So `timeout=` bounds the time to connect, and the
/// response only if the request is idempotent.
fn replay_timeouts(limit: Option<Duration>, method: &Method, timeouts: Timeouts) -> Timeouts {
    match limit {
        Some(limit) if method.is_idempotent() => Timeouts { connect: limit, response: limit },
        Some(limit) => Timeouts { connect: limit, ..timeouts },
        None => timeouts,
    }
}

/// Why a failed replay may return to the instance that asked for it. `None` if it may not, because
/// an instance may have processed the request and the request is not idempotent.
fn reason_to_return(error: &ProxyError, method: &Method) -> Option<FailureReason> {
    match error {
        ProxyError::NoInstanceReached { reason, .. } => Some(*reason),
        ProxyError::ConnectionLost { .. } if method.is_idempotent() => {
            Some(FailureReason::RetriesExhausted)
        }
        ProxyError::ResponseTimeout { .. } if method.is_idempotent() => {
            Some(FailureReason::Timeout)
        }
        _ => None,
    }
}

/// The regions to try after a failed replay that `source` asked for.
fn fallback_candidates<'a>(
    fallback: Fallback,
    source: &'a str,
    nearest: &[&'a str],
) -> Vec<&'a str> {
    let others = nearest.iter().copied().filter(|region| *region != source);
    match fallback {
        Fallback::ForceSelf => vec![source],
        Fallback::PreferSelf => [source].into_iter().chain(others).collect(),
    }
}

/// Passes on the response to a replayed request, which must not ask for another replay.
fn without_replay(
    region: String,
    response: Response<Incoming>,
) -> Result<Response<Incoming>, ProxyError> {
    if response.headers().contains_key(FLY_REPLAY) {
        Err(ProxyError::ReplayedTwice { region })
    } else {
        Ok(response)
    }
}

async fn discard(response: Response<Incoming>) {
    let (bytes, time) = DISCARD_LIMIT;
    let _ = timeout(time, Limited::new(response.into_body(), bytes).collect()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts =
        Timeouts { connect: Duration::from_secs(5), response: Duration::from_mins(1) };

    #[test]
    fn timeout_bounds_the_response_if_idempotent() {
        let (second, minute) = (Duration::from_secs(1), TIMEOUTS.response);
        let cases = [
            (None, Method::GET, TIMEOUTS),
            (None, Method::POST, TIMEOUTS),
            (Some(second), Method::GET, Timeouts { connect: second, response: second }),
            (Some(second), Method::DELETE, Timeouts { connect: second, response: second }),
            (Some(second), Method::POST, Timeouts { connect: second, response: minute }),
            (Some(second), Method::PATCH, Timeouts { connect: second, response: minute }),
        ];
        for (limit, method, timeouts) in cases {
            assert_eq!(replay_timeouts(limit, &method, TIMEOUTS), timeouts, "{limit:?} {method}");
        }
    }

    #[test]
    fn a_replay_returns_unless_it_may_be_processed_twice() {
        let region = || "nrt".to_owned();
        let none_reached = |reason| ProxyError::NoInstanceReached {
            place: "syd".to_owned(),
            tried: String::new(),
            reason,
        };
        let (exhausted, timeout) = (FailureReason::RetriesExhausted, FailureReason::Timeout);
        // The error, and the reason with which a GET and a POST return.
        let cases = [
            (none_reached(exhausted), Some(exhausted), Some(exhausted)),
            (none_reached(timeout), Some(timeout), Some(timeout)),
            (ProxyError::ConnectionLost { region: region() }, Some(exhausted), None),
            (
                ProxyError::ResponseTimeout { region: region(), waited: Duration::ZERO },
                Some(timeout),
                None,
            ),
            (ProxyError::BodyTooLarge { region: region(), limit: 0 }, None, None),
        ];
        for (error, get, post) in cases {
            assert_eq!(reason_to_return(&error, &Method::GET), get, "{error}");
            assert_eq!(reason_to_return(&error, &Method::POST), post, "{error}");
        }
    }

    #[test]
    fn prefer_self_has_the_others_after_it() {
        let cases: [(_, &[_]); 2] =
            [(Fallback::ForceSelf, &["nrt"]), (Fallback::PreferSelf, &["nrt", "syd", "ord"])];
        for (fallback, candidates) in cases {
            assert_eq!(fallback_candidates(fallback, "nrt", &["syd", "nrt", "ord"]), candidates);
        }
    }
}
