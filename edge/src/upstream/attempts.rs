//! What failed attempts to send one request mean: whether another instance may get it, and which
//! error remains if none is left.

use std::io;
use std::time::Duration;

use super::body::{BUFFER_LIMIT, ResendError};
use crate::error::ProxyError;
use crate::headers::replayed::FailureReason;

/// Why one attempt brought no response.
#[derive(Debug)]
pub(super) enum AttemptError {
    /// Nothing was sent: the link is cut.
    LinkCut,
    /// Nothing was sent: the instance accepts no connection.
    Unreachable(io::Error),
    /// Nothing was sent: there was no connection within this time.
    ConnectTimeout(Duration),
    /// The connection closed after a part of the request was sent.
    ConnectionLost,
    /// The request was sent, and no response began within this time.
    ResponseTimeout(Duration),
    /// Nothing was sent: an earlier attempt used up the body.
    Body(ResendError),
}

/// The failed attempts to send one request.
pub(super) struct Attempts<'a> {
    place: &'a str,
    /// Whether the request may be processed twice (RFC 9110, section 9.2.2).
    is_idempotent: bool,
    tried: Vec<String>,
    lost: Option<ProxyError>,
    reason: FailureReason,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(place: &'a str, is_idempotent: bool) -> Self {
        let reason = FailureReason::NoCandidate;
        Self { place, is_idempotent, tried: Vec::new(), lost: None, reason }
    }

    /// Records a failed attempt. After `Ok`, the next instance may get the request.
    pub(super) fn record(&mut self, region: &str, error: AttemptError) -> Result<(), ProxyError> {
        let region = region.to_owned();
        match error {
            AttemptError::LinkCut => self.tried.push(format!("{region} (the link is cut)")),
            AttemptError::Unreachable(error) => {
                self.tried.push(format!("{region} ({error})"));
                self.reason = FailureReason::RetriesExhausted;
            }
            AttemptError::ConnectTimeout(limit) => {
                self.tried.push(format!("{region} (no connection within {limit:?})"));
                self.reason = FailureReason::Timeout;
            }
            AttemptError::ConnectionLost if self.is_idempotent => {
                self.lost = Some(ProxyError::ConnectionLost { region });
            }
            AttemptError::ConnectionLost => return Err(ProxyError::ConnectionLost { region }),
            AttemptError::ResponseTimeout(waited) => {
                return Err(ProxyError::ResponseTimeout { region, waited });
            }
            AttemptError::Body(ResendError::TooLarge) => {
                return Err(ProxyError::BodyTooLarge { region, limit: BUFFER_LIMIT });
            }
            AttemptError::Body(ResendError::Incomplete(error)) => {
                return Err(ProxyError::RequestIncomplete(error));
            }
        }
        Ok(())
    }

    /// The error once no instance is left.
    pub(super) fn into_error(self) -> ProxyError {
        let tried = if self.tried.is_empty() {
            "no instance runs in the wanted regions".to_owned()
        } else {
            self.tried.join(", ")
        };
        let (place, reason) = (self.place.to_owned(), self.reason);
        self.lost.unwrap_or(ProxyError::NoInstanceReached { place, tried, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type NewError = fn() -> AttemptError;

    const LIMIT: Duration = Duration::from_secs(5);

    fn link_cut() -> AttemptError {
        AttemptError::LinkCut
    }

    fn refused() -> AttemptError {
        AttemptError::Unreachable(io::Error::other("refused"))
    }

    fn no_connection() -> AttemptError {
        AttemptError::ConnectTimeout(LIMIT)
    }

    fn lost() -> AttemptError {
        AttemptError::ConnectionLost
    }

    fn no_response() -> AttemptError {
        AttemptError::ResponseTimeout(LIMIT)
    }

    fn too_large() -> AttemptError {
        AttemptError::Body(ResendError::TooLarge)
    }

    #[test]
    fn a_sent_request_is_repeated_only_if_idempotent() {
        // The error, and whether the next instance gets an idempotent request and any other.
        let cases: [(NewError, _, _); 6] = [
            (link_cut, true, true),
            (refused, true, true),
            (no_connection, true, true),
            (lost, true, false),
            // A slow request would be slow elsewhere too.
            (no_response, false, false),
            (too_large, false, false),
        ];
        for (error, if_idempotent, otherwise) in cases {
            for (is_idempotent, goes_on) in [(true, if_idempotent), (false, otherwise)] {
                let recorded = Attempts::new("syd", is_idempotent).record("nrt", error());
                assert_eq!(recorded.is_ok(), goes_on, "{:?}, {is_idempotent}", error());
            }
        }
    }

    #[test]
    fn the_last_error_tells_every_attempt() {
        const NONE: &str = "no instance can be reached from syd: ";
        let cases: [(&[NewError], _, _); 5] = [
            (&[], "no instance runs in the wanted regions", "no_candidate"),
            (&[link_cut], "r0 (the link is cut)", "no_candidate"),
            (&[link_cut, refused], "r0 (the link is cut), r1 (refused)", "retries_exhausted"),
            (&[refused, no_connection], "r0 (refused), r1 (no connection within 5s)", "timeout"),
            (
                &[no_connection, refused],
                "r0 (no connection within 5s), r1 (refused)",
                "retries_exhausted",
            ),
        ];
        for (errors, tried, reason) in cases {
            let mut attempts = Attempts::new("syd", false);
            for (at, error) in errors.iter().enumerate() {
                attempts.record(&format!("r{at}"), error()).unwrap();
            }
            let error = attempts.into_error();
            assert_eq!(error.to_string(), format!("{NONE}{tried}"));
            let ProxyError::NoInstanceReached { reason: given, .. } = error else {
                panic!("{error}")
            };
            assert_eq!(given.as_str(), reason);
        }
    }

    #[test]
    fn a_lost_connection_is_the_last_error() {
        let mut attempts = Attempts::new("syd", true);
        for (region, error) in [("nrt", lost()), ("ord", lost()), ("ams", refused())] {
            attempts.record(region, error).unwrap();
        }
        let error = attempts.into_error();
        assert!(matches!(error, ProxyError::ConnectionLost { region } if region == "ord"));
    }
}
