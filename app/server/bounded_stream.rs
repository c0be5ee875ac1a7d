//! A visitor's connection that bounds what its client can keep: memory, by requests and answers that
//! wait, and time. Actix bounds the time of a connection's first head and between two requests.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use std::{io, mem};

use actix_web::rt::net::{ActixStream, Ready, TcpStream};
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

/// How long an answer may wait for its reader.
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
    is_turn_due: bool,
    /// What was read beyond the last head that Actix was given.
    rest: Vec<u8>,
    /// Bytes that came since the last answer.
    unanswered: usize,
    large: Option<SemaphorePermit<'static>>,
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
    /// The connection's task, where it waits for the handlers before it reads.
    reader: Cell<Option<Waker>>,
}

/// Until it is dropped, a handler works.
pub(super) struct Handling(Rc<Working>);

impl Handlers {
    pub(super) fn begin(&self) -> Handling {
        self.0.count.set(self.0.count.get() + 1);
        Handling(self.0.clone())
    }

    /// Notes whether the body of the request was read to its end, or there is none.
    pub(super) fn note_body(&self, is_read: bool) {
        self.0.is_body_unread.set(!is_read);
    }

    fn work(&self) -> bool {
        self.0.count.get() > 0
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        if let Some(reader) = self.0.reader.take() {
            reader.wake();
        }
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
    fn take(&mut self, bytes: &[u8]) -> usize {
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
            is_turn_due: false,
            rest: vec![],
            unanswered: 0,
            large: None,
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
        if mem::replace(&mut self.is_turn_due, false) {
            context.waker().wake_by_ref();
            return true;
        }
        if self.handlers.work() {
            self.handlers.0.reader.set(Some(context.waker().clone()));
            return true;
        }
        // Actix has begun with all that it was given.
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
        if self.awaited == Awaited::Request {
            self.wait_for(Awaited::Answer);
        }
        self.unanswered += bytes;
        if self.unanswered > LARGE && self.large.is_none() {
            let place = LARGE_REQUESTS.try_acquire();
            self.large = Some(place.map_err(|_| io::ErrorKind::QuotaExceeded)?);
        }
        Ok(())
    }

    fn end_answer(&mut self) {
        self.is_written = false;
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
        let taken = before + stream.heads.take(&buffer.filled()[before..]);
        stream.rest.splice(..0, buffer.filled()[taken..].iter().copied());
        buffer.set_filled(taken);
        stream.is_turn_due = stream.heads.count >= PIPELINED;
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

    /// Actix calls it when all it had to write is written.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if stream.is_written {
            stream.end_answer();
        }
        Pin::new(&mut stream.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

impl ActixStream for BoundedStream {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.stream, context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.stream, context)
    }
}
