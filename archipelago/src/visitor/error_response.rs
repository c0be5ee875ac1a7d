//! The response to a failed query.

use crate::error::Error;

/// How a failed query is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorResponse {
    /// 404 without a row, 503 if the same request may succeed a little later, else 500.
    pub status: u16,
    /// The value of the header `retry-after`, in seconds: that of [`Error::retry_after`].
    pub retry_after: Option<u32>,
}

impl ErrorResponse {
    /// The answer to `error`.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        let status = match error {
            error if error.is_not_found() => 404,
            error if error.is_passing() => 503,
            _ => 500,
        };
        let seconds = error.retry_after().and_then(|time| u32::try_from(time.as_secs()).ok());
        Self { status, retry_after: seconds }
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
        let (region, waited) = ("nrt", Duration::from_secs(1));
        let table = [
            (diesel::result::Error::NotFound.into(), 404, None),
            (Error::Busy { region, waited }, 503, Some(5)),
            // A write may have been committed.
            (Error::Timeout { region, waited }, 503, None),
            (diesel::result::Error::NotInTransaction.into(), 500, None),
        ];
        for (error, status, retry_after) in table {
            let response = ErrorResponse::of(&error);
            assert_eq!((response.status, response.retry_after), (status, retry_after), "{error}");
        }
    }
}
