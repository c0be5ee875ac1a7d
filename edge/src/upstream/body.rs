//! The body of a visitor's request: it streams to the instance, and is buffered in case the request
//! is sent again.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;

/// How many bytes are buffered. A longer body streams on and cannot be sent again.
///
/// Fly's limit is 1 MB. An app that takes it for 1 MiB fails here too.
pub(crate) const BUFFER_LIMIT: usize = 1_000_000;

/// The body that an instance gets: the stream, or the buffer if the request is sent again.
pub(crate) type UpstreamBody = Either<BodyStream, Full<Bytes>>;

/// A visitor's body. Clones share it.
#[derive(Clone)]
pub(crate) struct RequestBody(Arc<Mutex<State>>);

struct State {
    /// What the visitor has yet to send. `None` once the request is sent again.
    incoming: Option<Incoming>,
    /// What the visitor has sent. `None` if that is longer than [`BUFFER_LIMIT`].
    buffer: Option<Vec<u8>>,
    has_started: bool,
    last_received: Instant,
}

/// Why a body cannot be sent again.
#[derive(Debug)]
pub(crate) enum ResendError {
    TooLarge,
    /// The visitor closed the connection before the end of the body.
    Incomplete(hyper::Error),
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming) -> Self {
        let buffer = (incoming.size_hint().lower() <= BUFFER_LIMIT as u64).then(Vec::new);
        Self(Arc::new(Mutex::new(State {
            incoming: Some(incoming),
            buffer,
            has_started: false,
            last_received: Instant::now(),
        })))
    }

    /// The body for the next attempt to send the request.
    ///
    /// Once an attempt has read from the stream, this waits for the rest of the body and returns
    /// all of it. The stream of the earlier attempt then fails.
    ///
    /// # Errors
    /// Only if an earlier attempt has read from the stream.
    pub(crate) async fn for_attempt(&self) -> Result<UpstreamBody, ResendError> {
        let (mut rest, mut buffer) = {
            let mut state = self.0.lock();
            if !state.has_started {
                return Ok(Either::Left(BodyStream(self.clone())));
            }
            (state.incoming.take(), state.buffer.take().ok_or(ResendError::TooLarge)?)
        };
        while let Some(frame) = match &mut rest {
            Some(rest) => rest.frame().await,
            None => None,
        } {
            if let Ok(data) = frame.map_err(ResendError::Incomplete)?.into_data() {
                buffer = append(buffer, &data).ok_or(ResendError::TooLarge)?;
            }
        }
        self.0.lock().buffer = Some(buffer.clone());
        Ok(Either::Right(Full::from(buffer)))
    }

    /// When the visitor last sent a part of the body.
    pub(crate) fn last_received(&self) -> Instant {
        self.0.lock().last_received
    }
}

/// The buffer with `data` at its end. `None` if it exceeds [`BUFFER_LIMIT`].
fn append(mut buffer: Vec<u8>, data: &[u8]) -> Option<Vec<u8>> {
    if buffer.len() + data.len() > BUFFER_LIMIT {
        return None;
    }
    buffer.extend_from_slice(data);
    Some(buffer)
}

/// The body as the visitor sends it.
pub(crate) struct BodyStream(RequestBody);

/// Fails the stream of an attempt once the request is sent again.
#[derive(Debug, thiserror::Error)]
#[error("the request is sent to another instance")]
struct SentElsewhere;

impl Body for BodyStream {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let RequestBody(state) = &self.0;
        let mut state = state.lock();
        state.has_started = true;
        let Some(incoming) = &mut state.incoming else {
            return Poll::Ready(Some(Err(SentElsewhere.into())));
        };
        let polled = Pin::new(incoming).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            state.last_received = Instant::now();
            if let Some(data) = frame.data_ref() {
                state.buffer = state.buffer.take().and_then(|buffer| append(buffer, data));
            }
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.0.0.lock().incoming.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.0.lock().incoming.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_ends_at_its_limit() {
        let cases = [
            (0, 0, true),
            (0, BUFFER_LIMIT, true),
            (BUFFER_LIMIT, 0, true),
            (BUFFER_LIMIT - 1, 1, true),
            (BUFFER_LIMIT, 1, false),
            (0, BUFFER_LIMIT + 1, false),
        ];
        for (buffered, more, fits) in cases {
            let appended = append(vec![1; buffered], &vec![2; more]);
            assert_eq!(appended.map(|buffer| buffer.len()), fits.then_some(buffered + more));
        }
    }
}
