//! The body of a visitor's request: streams to the instance, and is kept on the way in case it has to be sent again.

use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::Instant;

/// In bytes: what is longer streams on, and cannot be sent again. Fly says 1 MB; an app that takes that for 1 MiB is found out here.
pub(crate) const LONGEST: usize = 1_000_000;

/// What is sent to an instance: the stream at first, the copy when it is sent again.
pub(crate) type Sent = Either<Stream, Full<Bytes>>;

/// A visitor's body; a cheap handle to it.
#[derive(Clone)]
pub(crate) struct Upload(Arc<Mutex<State>>);

struct State {
    /// What has not been read yet. Gone once somebody collects all of it.
    incoming: Option<Incoming>,
    /// What has been read; none where that is longer than [`LONGEST`].
    copy: Option<Vec<u8>>,
    is_begun: bool,
    last_moved: Instant,
}

/// Why a body cannot be sent again.
pub(crate) enum NotAgain {
    TooLong,
    /// The visitor broke off.
    Broken(hyper::Error),
}

impl Upload {
    pub(crate) fn new(incoming: Incoming) -> Self {
        let copy = (incoming.size_hint().lower() <= LONGEST as u64).then(Vec::new);
        Self(Arc::new(Mutex::new(State {
            incoming: Some(incoming),
            copy,
            is_begun: false,
            last_moved: Instant::now(),
        })))
    }

    /// The body for an instance. From the second time on, what was sent by then and the rest of it; whoever still sends it from an
    /// earlier time fails.
    ///
    /// # Errors
    /// Never, as long as nothing has been sent.
    pub(crate) async fn body(&self) -> Result<Sent, NotAgain> {
        let (mut rest, mut copy) = {
            let mut state = self.state();
            if !state.is_begun {
                return Ok(Either::Left(Stream(self.clone())));
            }
            (state.incoming.take(), state.copy.take().ok_or(NotAgain::TooLong)?)
        };
        while let Some(frame) = match &mut rest {
            Some(rest) => rest.frame().await,
            None => None,
        } {
            if let Ok(data) = frame.map_err(NotAgain::Broken)?.into_data() {
                copy.extend_from_slice(&data);
            }
            if copy.len() > LONGEST {
                return Err(NotAgain::TooLong);
            }
        }
        self.state().copy = Some(copy.clone());
        Ok(Either::Right(Full::from(copy)))
    }

    /// When the visitor last sent something.
    pub(crate) fn last_moved(&self) -> Instant {
        self.state().last_moved
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body as it comes from the visitor.
pub(crate) struct Stream(Upload);

/// The request goes to another instance by now.
#[derive(Debug, thiserror::Error)]
#[error("the request is sent elsewhere")]
struct SentElsewhere;

impl Body for Stream {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut state = self.0.state();
        state.is_begun = true;
        let Some(incoming) = &mut state.incoming else {
            return Poll::Ready(Some(Err(SentElsewhere.into())));
        };
        let polled = Pin::new(incoming).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            state.last_moved = Instant::now();
            if let Some(data) = frame.data_ref() {
                state.copy =
                    state.copy.take().filter(|copy| copy.len() + data.len() <= LONGEST).map(
                        |mut copy| {
                            copy.extend_from_slice(data);
                            copy
                        },
                    );
            }
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.0.state().incoming.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.state().incoming.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}
