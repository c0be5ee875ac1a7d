//! A visitor's connection that bounds what its client can keep: memory, by what comes before an answer,
//! and time. Actix bounds the time of a connection's first head and between two requests.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{io, mem};

use actix_web::rt::net::TcpStream;
use memchr::memchr_iter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::{Instant, Sleep, sleep};

use super::exchange::{Exchange, Stage};
use super::{KEEP_ALIVE, UNREAD_BODY};

/// How many bytes may come before an answer; more need one of [`LARGE_REQUESTS`].
const LARGE: usize = 8 * 1024;

/// How many large requests this process keeps at once. Actix keeps up to 128 KiB of one.
static LARGE_REQUESTS: Semaphore = Semaphore::const_new(256);

/// How long the head of a request may take. [`body`](super::body) bounds the time of a body.
const HEAD: Duration = Duration::from_secs(10);

/// How long an answer may take until its reader has it.
const ANSWER: Duration = Duration::from_secs(30);

/// How long a connection may have no request. Actix closes it at [`KEEP_ALIVE`], unless it has begun
/// with the next one.
const IDLE: Duration = Duration::from_secs(KEEP_ALIVE.as_secs() + 5);

/// How often a connection looks at its deadline.
const LOOK: Duration = HEAD;

/// See the module.
pub(super) struct BoundedStream {
    stream: TcpStream,
    exchange: Exchange,
    empty_line: EmptyLine,
    /// What came after the part of the request that Actix was given.
    rest: Vec<u8>,
    /// How many bytes came since the last answer, and those of `rest` at that time.
    unanswered: usize,
    large: Option<SemaphorePermit<'static>>,
    /// Whether the client has to read before the answer can be written.
    is_blocked: bool,
    /// When the wait began that the deadline bounds.
    since: Instant,
    look: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

/// Looks for an empty line after one with text: the end of a head, and of a body in chunks.
#[derive(Default)]
struct EmptyLine {
    has_text: bool,
    /// Whether the line that the next byte belongs to has text.
    is_text: bool,
}

impl EmptyLine {
    /// How many of `bytes` there are up to its end; none where it does not end in them.
    fn end_in(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut line = 0;
        for end in memchr_iter(b'\n', bytes) {
            let is_text = self.is_text || !matches!(bytes[line..end], [] | [b'\r']);
            if self.has_text && !is_text {
                *self = Self::default();
                return Some(end + 1);
            }
            self.has_text |= is_text;
            (line, self.is_text) = (end + 1, false);
        }
        self.is_text |= !matches!(bytes[line..], [] | [b'\r']);
        None
    }
}

impl BoundedStream {
    /// Keeps `place` as long as the connection lives.
    pub(super) fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            exchange: Exchange::default(),
            empty_line: EmptyLine::default(),
            rest: vec![],
            unanswered: 0,
            large: None,
            is_blocked: false,
            since: Instant::now(),
            look: Box::pin(sleep(LOOK)),
            _place: place,
        }
    }

    pub(super) fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    fn deadline(&self) -> Option<Instant> {
        let within = match self.exchange.stage() {
            _ if self.is_blocked => ANSWER,
            Stage::Head if self.unanswered == 0 => IDLE,
            Stage::Head | Stage::Begun => HEAD,
            Stage::Handler | Stage::Body | Stage::Answer => return None,
            Stage::Close => UNREAD_BODY,
        };
        Some(self.since + within)
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

    /// Reads no further than the request's head, or the part of its body that the handler waits for.
    fn poll_read_request(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.rest.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            self.count(buffer.filled().len() - before)?;
        } else {
            let length = self.rest.len().min(buffer.remaining());
            buffer.put_slice(&self.rest[..length]);
            self.rest.drain(..length);
        }
        let bytes = &buffer.filled()[before..];
        let (taken, is_end) = match self.exchange.body_left() {
            Some(left) => (left.min(bytes.len()), left <= bytes.len()),
            None => match self.empty_line.end_in(bytes) {
                Some(end) => (end, true),
                None => (bytes.len(), false),
            },
        };
        self.exchange.was_read(taken, is_end);
        self.rest.splice(..0, bytes[taken..].iter().copied());
        buffer.set_filled(before + taken);
        Poll::Ready(Ok(()))
    }

    fn count(&mut self, bytes: usize) -> io::Result<()> {
        if self.unanswered == 0 {
            self.since = Instant::now();
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

    /// Leaves what has come where it is, and has the task woken when it may read. Tells the client's end.
    fn poll_wait(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            let mut byte = [0];
            let peeked = ready!(self.stream.poll_peek(context, &mut ReadBuf::new(&mut byte)));
            if !matches!(peeked, Ok(1..)) {
                return Pin::new(&mut self.stream).poll_read(context, buffer);
            }
        }
        self.exchange.wake_to_read(context);
        Poll::Pending
    }

    /// See [`UNREAD_BODY`].
    fn poll_drop(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        loop {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            if buffer.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            buffer.set_filled(before);
        }
    }

    fn end_answer(&mut self, context: &Context<'_>) {
        self.exchange.end();
        self.since = Instant::now();
        if self.exchange.stage() == Stage::Close {
            self.rest.clear();
            self.look.as_mut().reset(self.since + UNREAD_BODY);
            context.waker().wake_by_ref();
        }
        self.unanswered = self.rest.len();
        if self.unanswered <= LARGE {
            self.large = None;
        }
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
        match stream.exchange.stage() {
            Stage::Head | Stage::Body => stream.poll_read_request(context, buffer),
            Stage::Begun | Stage::Handler | Stage::Answer => stream.poll_wait(context, buffer),
            Stage::Close => stream.poll_drop(context, buffer),
        }
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
            if !mem::replace(&mut stream.is_blocked, true) {
                stream.since = Instant::now();
            }
            stream.check_deadline(context)?;
        }
        written
    }

    /// Actix calls it when all is written that it had: an answer, or a part of a long one.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        stream.is_blocked = false;
        if stream.exchange.stage() == Stage::Answer {
            stream.end_answer(context);
        }
        Pin::new(&mut stream.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
