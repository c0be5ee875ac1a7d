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
    /// How many bytes of the body the connection has not read, where the head says so.
    body_left: Cell<Option<usize>>,
    /// Whether the handler has the whole body, or there is none.
    is_body_read: Cell<bool>,
    /// The connection's task, where something has come that it may not read yet.
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
    /// Its answer was written, and did not wait for its body: it was the last one of its connection.
    Close,
}

impl Exchange {
    pub(super) fn stage(&self) -> Stage {
        self.0.stage.get()
    }

    /// Notes that the handler begins. It works until the result is dropped.
    pub(super) fn begin(&self) -> Handling {
        self.0.stage.set(Stage::Handler);
        self.0.is_body_read.set(true);
        Handling(self.clone())
    }

    /// Notes that the request has a body, and its length where the head has it.
    pub(super) fn has_body(&self, length: Option<usize>) {
        self.0.body_left.set(length);
        self.0.is_body_read.set(false);
    }

    pub(super) fn body_left(&self) -> Option<usize> {
        self.0.body_left.get()
    }

    pub(super) fn is_body_read(&self) -> bool {
        self.0.is_body_read.get()
    }

    /// Notes that the handler waits for a part of its body.
    pub(super) fn await_body(&self) {
        if self.body_left() != Some(0) {
            self.0.stage.set(Stage::Body);
            self.wake_reader();
        }
    }

    /// Notes that the part has come, or the end of the body.
    pub(super) fn body_came(&self, is_end: bool) {
        self.0.stage.set(Stage::Handler);
        self.0.is_body_read.set(is_end);
    }

    /// Notes that the connection has read so many bytes, and whether they are the last ones of the head,
    /// or of what the handler waits for.
    pub(super) fn was_read(&self, bytes: usize, is_end: bool) {
        self.0.body_left.set(self.body_left().map(|left| left - bytes));
        if is_end {
            let is_head = self.stage() == Stage::Head;
            self.0.stage.set(if is_head { Stage::Begun } else { Stage::Handler });
        }
    }

    /// Notes that the answer was written.
    pub(super) fn end(&self) {
        self.0.stage.set(if self.is_body_read() { Stage::Head } else { Stage::Close });
        self.0.body_left.set(None);
        self.wake_reader();
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

/// The body of an answer, whose handler works until it is made.
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
