//! What a connection and the handler of its request tell each other: how far the request is, and what
//! the connection may read.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;

/// The request that a connection has now. The connection reads the next one when this one has its
/// answer: Actix would parse both, and answer the first by the method and version of the second.
#[derive(Clone, Default)]
pub(super) struct Exchange(Rc<State>);

#[derive(Default)]
struct State {
    stage: Cell<Stage>,
    body_left: Cell<Option<usize>>,
    /// Whether the handler has the whole body, or there is none.
    is_body_read: Cell<bool>,
    /// Whether the connection ends with the answer, whatever becomes of the body.
    is_last: Cell<bool>,
    /// The task to wake when the connection may read again.
    reader: Cell<Option<Waker>>,
}

/// How far a request is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its head comes, or will come.
    #[default]
    Head,
    /// Its head was read.
    Begun,
    /// Its handler works, or makes the body of its answer.
    Handler,
    /// Its handler waits for a part of its body.
    Body,
    /// Its answer was made.
    Answer,
    /// Its answer was written, and was the last one of its connection.
    Close,
}

impl Exchange {
    pub(super) fn stage(&self) -> Stage {
        self.0.stage.get()
    }

    /// Notes that the handler begins, and whether there is a body, with its length where the head has it.
    /// The handler works until the result is dropped.
    pub(super) fn begin(&self, has_body: bool, body_length: Option<usize>) -> Handling {
        self.0.stage.set(Stage::Handler);
        self.0.is_body_read.set(!has_body);
        self.0.body_left.set(body_length.filter(|_| has_body));
        Handling(self.clone())
    }

    pub(super) fn note_last(&self) {
        self.0.is_last.set(true);
    }

    /// How many bytes of the body the connection has not read, where the head says so.
    pub(super) fn body_left(&self) -> Option<usize> {
        self.0.body_left.get()
    }

    /// Whether the connection ends with the answer.
    pub(super) fn is_last(&self) -> bool {
        self.0.is_last.get() || !self.0.is_body_read.get()
    }

    /// Notes that the handler waits for a part of its body, and Actix has none.
    pub(super) fn await_body(&self) {
        if self.stage() == Stage::Handler && self.body_left() != Some(0) {
            self.0.stage.set(Stage::Body);
            self.wake_reader();
        }
    }

    /// Notes that the handler has the whole body.
    pub(super) fn note_end_of_body(&self) {
        self.0.is_body_read.set(true);
    }

    /// Notes that the connection has read so many bytes, and whether they end the head, or what may be
    /// read until the handler waits again.
    pub(super) fn note_read(&self, bytes: usize, is_end: bool) {
        self.0.body_left.set(self.body_left().map(|left| left - bytes));
        if is_end {
            self.0.stage.set(match self.stage() {
                Stage::Head => Stage::Begun,
                _ => Stage::Handler,
            });
        }
    }

    /// Notes that the answer was written.
    pub(super) fn end(&self) {
        self.0.stage.set(if self.is_last() { Stage::Close } else { Stage::Head });
        self.0.body_left.set(None);
        self.wake_reader();
    }

    /// Notes that Actix closes the connection.
    pub(super) fn close(&self) {
        self.0.stage.set(Stage::Close);
    }

    /// Has the task woken as soon as it may read.
    pub(super) fn wake_to_read(&self, context: &Context<'_>) {
        self.0.reader.set(Some(context.waker().clone()));
    }

    fn wake_reader(&self) {
        if let Some(reader) = self.0.reader.take() {
            reader.wake();
        }
    }
}

/// Until it is dropped, a handler works.
pub(super) struct Handling(Exchange);

impl Drop for Handling {
    fn drop(&mut self) {
        self.0.0.stage.set(Stage::Answer);
    }
}

/// The body of an answer. Its handler works until Actix has dropped it.
pub(super) struct AnswerBody {
    body: BoxBody,
    _handling: Handling,
}

impl AnswerBody {
    pub(super) fn new(body: BoxBody, handling: Handling) -> Self {
        Self { body, _handling: handling }
    }
}

impl MessageBody for AnswerBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(context)
    }
}
