//! A visitor's connection that bounds what its client can keep: memory, by requests and answers that
//! wait, and time. Actix bounds the time of a connection's first head and between two requests.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use std::{io, mem};

use actix_web::rt::net::TcpStream;
use memchr::memchr_iter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::{Instant, Sleep, sleep};

use super::KEEP_ALIVE;

/// How many requests Actix is given while a handler works. It parses all that it is given at once, and
/// a request of 18 bytes takes 7 KiB then.
const PIPELINED: usize = 4;

/// How many bytes may come before an answer; larger requests need one of [`LARGE_REQUESTS`].
const LARGE: usize = 16 * 1024;

/// How many large requests this process keeps at once. Actix keeps up to 128 KiB of one.
static LARGE_REQUESTS: Semaphore = Semaphore::const_new(256);

/// How long the head of a request may take, and the rest of a body whose request has its answer.
const REQUEST: Duration = Duration::from_secs(10);

/// How long an answer may take until its reader has it.
const ANSWER: Duration = Duration::from_secs(30);

/// How long a connection may have no request. Actix closes it at [`KEEP_ALIVE`], but not where the
/// beginning of a head came together with the request before it.
const IDLE: Duration = Duration::from_secs(KEEP_ALIVE.as_secs() + 5);

/// How often a connection looks at its deadline: as often as the shortest one may pass.
const LOOK: Duration = REQUEST;

/// What a connection waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// The first byte of a request.
    Request,
    /// The rest of a request, or its handler; or the rest of a body whose request has its answer.
    Answer,
    /// The client, to read what was written.
    Reader,
}

/// See the module.
pub(super) struct BoundedStream {
    stream: TcpStream,
    awaited: Awaited,
    since: Instant,
    handlers: Handlers,
    heads: Heads,
    /// Whether Actix was given its last head just now, and has to begin with it.
    has_unparsed: bool,
    /// What was read beyond the last head that Actix was given.
    rest: Vec<u8>,
    /// Bytes that came since the last answer.
    unanswered: usize,
    large: Option<SemaphorePermit<'static>>,
    /// Whether no byte has come since the last answer.
    is_answered: bool,
    /// Whether something was written since the last flush.
    is_written: bool,
    look: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

/// The handlers that work at a connection's requests. They have deadlines of their own.
#[derive(Clone, Default)]
pub(super) struct Handlers(Rc<Working>);

#[derive(Default)]
struct Working {
    count: Cell<usize>,
    /// Whether a part of the last request's body was not read: it may never come.
    is_body_unread: Cell<bool>,
    /// Whether a handler waits for a part of its body.
    awaits_body: Cell<bool>,
    /// The connection's task, where it waits for the handlers before it reads.
    reader: Cell<Option<Waker>>,
}

/// Until it is dropped, a handler works.
pub(super) struct Handling(Handlers);

impl Handlers {
    pub(super) fn begin(&self) -> Handling {
        self.0.count.set(self.0.count.get() + 1);
        Handling(self.clone())
    }

    /// Notes whether the body of the request was read to its end, or there is none.
    pub(super) fn note_body(&self, is_read: bool) {
        self.0.is_body_unread.set(!is_read);
    }

    /// Notes that a handler waits for a part of its body, which the connection has to read.
    pub(super) fn await_body(&self) {
        self.0.awaits_body.set(true);
        self.wake_reader();
    }

    /// Notes that the part has come.
    pub(super) fn body_came(&self) {
        self.0.awaits_body.set(false);
    }

    fn wake_reader(&self) {
        if let Some(reader) = self.0.reader.take() {
            reader.wake();
        }
    }

    fn work(&self) -> bool {
        self.0.count.get() > 0
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        let handlers = &self.0;
        handlers.0.count.set(handlers.0.count.get() - 1);
        handlers.wake_reader();
    }
}

/// Counts the empty lines, one of which ends each head. Those of a body count as well.
#[derive(Default)]
struct Heads {
    count: usize,
    /// Whether the line that the next byte belongs to is empty so far.
    is_line_empty: bool,
}

impl Heads {
    /// How many of `bytes` come before the end of one head too many.
    fn fitting(&mut self, bytes: &[u8]) -> usize {
        let mut line = 0;
        for end in memchr_iter(b'\n', bytes) {
            let is_empty = matches!(bytes[line..end], [] | [b'\r']);
            // The line may have begun with bytes that were taken before.
            if is_empty && (line > 0 || self.is_line_empty) {
                self.count += 1;
            }
            (line, self.is_line_empty) = (end + 1, true);
            if self.count >= PIPELINED {
                return line;
            }
        }
        self.is_line_empty &= matches!(bytes[line..], [] | [b'\r']);
        bytes.len()
    }
}

impl BoundedStream {
    /// Keeps `place` as long as the connection lives.
    pub(super) fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            awaited: Awaited::Request,
            since: Instant::now(),
            handlers: Handlers::default(),
            heads: Heads::default(),
            has_unparsed: false,
            rest: vec![],
            unanswered: 0,
            large: None,
            is_answered: true,
            is_written: false,
            look: Box::pin(sleep(LOOK)),
            _place: place,
        }
    }

    pub(super) fn handlers(&self) -> &Handlers {
        &self.handlers
    }

    /// Whether Actix has as much as it may have.
    fn is_full(&mut self, context: &mut Context<'_>) -> bool {
        if self.awaited == Awaited::Reader {
            // Actix wrote before: the task is woken when the client has read.
            return true;
        }
        if self.heads.count < PIPELINED {
            return false;
        }
        if mem::replace(&mut self.has_unparsed, false) {
            context.waker().wake_by_ref();
            return true;
        }
        if self.handlers.work() && !self.handlers.0.awaits_body.get() {
            self.handlers.0.reader.set(Some(context.waker().clone()));
            return true;
        }
        // Actix has begun with all that it was given, or the last of it is a body.
        self.heads.count = 0;
        false
    }

    fn wait_for(&mut self, awaited: Awaited) {
        if self.awaited != awaited {
            self.awaited = awaited;
            self.since = Instant::now();
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.awaited {
            Awaited::Request => Some(self.since + IDLE),
            Awaited::Answer if self.handlers.work() => None,
            Awaited::Answer => Some(self.since + REQUEST),
            Awaited::Reader => Some(self.since + ANSWER),
        }
    }

    /// Fails when the deadline has passed, else has this task woken to look again.
    fn check_deadline(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.look.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            let next = now + LOOK;
            let deadline = self.deadline().unwrap_or(next);
            if deadline <= now {
                tracing::debug!("a connection was closed at its deadline");
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.look.as_mut().reset(deadline.min(next));
        }
        Ok(())
    }

    fn count_read(&mut self, bytes: usize) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        if self.is_answered {
            self.is_answered = false;
            self.awaited = Awaited::Answer;
            self.since = Instant::now();
        }
        if self.handlers.0.is_body_unread.get() && !self.handlers.work() {
            // Actix drops it.
            return Ok(());
        }
        self.unanswered += bytes;
        if self.unanswered > LARGE && self.large.is_none() {
            let place = LARGE_REQUESTS.try_acquire();
            self.large = Some(place.map_err(|_| {
                tracing::warn!("a connection was closed: too many large requests come at once");
                io::ErrorKind::QuotaExceeded
            })?);
        }
        Ok(())
    }

    fn end_answer(&mut self) {
        (self.is_written, self.is_answered) = (false, true);
        self.unanswered = 0;
        self.large = None;
        if !self.handlers.work() {
            self.heads.count = 0;
        }
        let is_body_unread = self.handlers.0.is_body_unread.get();
        self.awaited = if is_body_unread { Awaited::Answer } else { Awaited::Request };
        self.since = Instant::now();
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        stream.check_deadline(context)?;
        if stream.is_full(context) {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        if stream.rest.is_empty() {
            ready!(Pin::new(&mut stream.stream).poll_read(context, buffer))?;
            stream.count_read(buffer.filled().len() - before)?;
        } else {
            let fitting = stream.rest.len().min(buffer.remaining());
            buffer.put_slice(&stream.rest[..fitting]);
            stream.rest.drain(..fitting);
        }
        let taken = before + stream.heads.fitting(&buffer.filled()[before..]);
        stream.rest.splice(..0, buffer.filled()[taken..].iter().copied());
        buffer.set_filled(taken);
        stream.has_unparsed = stream.heads.count >= PIPELINED;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        let written = Pin::new(&mut stream.stream).poll_write(context, bytes);
        if written.is_pending() {
            stream.wait_for(Awaited::Reader);
            stream.check_deadline(context)?;
        } else {
            stream.is_written = true;
        }
        written
    }

    /// Actix calls it when all that it had to write is written: an answer, or a part of a long one.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if stream.is_written {
            let was_stopped = stream.awaited == Awaited::Reader || !stream.rest.is_empty();
            stream.end_answer();
            if was_stopped {
                // Nothing wakes the task for what could not be read meanwhile.
                context.waker().wake_by_ref();
            }
        }
        Pin::new(&mut stream.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
