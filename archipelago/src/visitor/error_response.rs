//! The response to a failed query.

use crate::error::Error;

/// When the same request may be tried again, in seconds: the time of an ordinary restart or
/// promotion is longer, and a wait for a free connection shorter.
const RETRY_AFTER: u32 = 1;

/// How a failed query is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorResponse {
    /// 404 without a row, 503 if the same request may succeed a little later, else 500.
    pub status: u16,
    /// The value of the header `retry-after`, in seconds.
    pub retry_after: Option<u32>,
}

impl ErrorResponse {
    /// The answer to `error`.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        match error {
            error if error.is_not_found() => Self { status: 404, retry_after: None },
            error if error.is_passing() => Self { status: 503, retry_after: Some(RETRY_AFTER) },
            _ => Self { status: 500, retry_after: None },
        }
    }

    /// Logs the error, unless it is a missing row.
    #[must_use]
    pub fn log(self, error: &Error) -> Self {
        match self.status {
            404 => {}
            503 => tracing::warn!(%error, "a request fails for now"),
            _ => tracing::error!(%error, "a request fails"),
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn how_errors_are_answered() {
        let busy = Error::Busy { region: "nrt", waited: Duration::from_secs(1) };
        let table = [
            (diesel::result::Error::NotFound.into(), 404, None),
            (busy, 503, Some(RETRY_AFTER)),
            (diesel::result::Error::NotInTransaction.into(), 500, None),
        ];
        for (error, status, retry_after) in table {
            let response = ErrorResponse::of(&error);
            assert_eq!((response.status, response.retry_after), (status, retry_after), "{error}");
        }
    }
}
