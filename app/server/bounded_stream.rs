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

/// How many bytes may come before an answer; more need one of [`LARGE_REQUESTS`]. Actix makes room for so
/// many.
const LARGE: usize = 7 * 1024;

/// How many large requests this process keeps at once. Actix keeps up to 128 KiB of one, and `rest` may be
/// as long.
static LARGE_REQUESTS: Semaphore = Semaphore::const_new(256);

/// How long the head of a request may take. [`body`](super::body) bounds the time of a body.
const HEAD: Duration = Duration::from_secs(10);

/// How long a client may take until it has read enough for all to be written that is ready.
const ANSWER: Duration = Duration::from_secs(30);

/// How long a connection may have no request. Actix counts [`KEEP_ALIVE`] anew whenever it is woken, so
/// that this one ends it.
const IDLE: Duration = Duration::from_secs(KEEP_ALIVE.as_secs() + 5);

/// How often a connection looks at its deadline.
const LOOK: Duration = HEAD;

/// How many reads may drop what a client has sent behind a malformed request.
const DROPPED: usize = 64;

/// See the module.
pub(super) struct BoundedStream {
    stream: TcpStream,
    exchange: Exchange,
    empty_line: EmptyLine,
    /// What came after the part of the request that Actix was given.
    rest: Vec<u8>,
    /// How many bytes of the request Actix was given.
    given: usize,
    /// How many bytes came since the last answer, with those that `rest` held then.
    unanswered: usize,
    large: Option<SemaphorePermit<'static>>,
    /// Whether the client has to read before the answer can be written.
    is_blocked: bool,
    /// Whether all was written, and the client was told.
    is_shut: bool,
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
    fn follows_text(&self) -> bool {
        self.has_text || self.is_text
    }

    /// How many of `bytes` there are to the end of the empty line; none where it does not end in them.
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
            given: 0,
            unanswered: 0,
            large: None,
            is_blocked: false,
            is_shut: false,
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
            Stage::Head if !self.empty_line.follows_text() => IDLE,
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
        if self.rest.is_empty() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            let bytes = &buffer.filled()[before..];
            self.count_unanswered(bytes.len())?;
            let taken = self.take_part(bytes);
            self.rest.extend_from_slice(&bytes[taken..]);
            buffer.set_filled(before + taken);
        } else {
            let rest = mem::take(&mut self.rest);
            let taken = self.take_part(&rest[..rest.len().min(buffer.remaining())]);
            buffer.put_slice(&rest[..taken]);
            // Not `drain`: an idle connection would keep the memory.
            self.rest = rest[taken..].to_vec();
        }
        Poll::Ready(Ok(()))
    }

    /// How many of `bytes` may be read now.
    fn take_part(&mut self, bytes: &[u8]) -> usize {
        let (taken, is_end) = match self.exchange.body_left() {
            Some(left) => (left.min(bytes.len()), left <= bytes.len()),
            None => {
                // No line has to come before the empty one that ends a body. Actix may need more.
                self.empty_line.has_text |= self.exchange.stage() == Stage::Body;
                match self.empty_line.end_in(bytes) {
                    Some(end) => (end, true),
                    None => (bytes.len(), false),
                }
            }
        };
        self.exchange.note_read(taken, is_end);
        self.given += taken;
        if self.given > LARGE {
            // Actix keeps its buffer, which has grown, as long as the connection lives.
            self.exchange.note_last();
        }
        taken
    }

    fn count_unanswered(&mut self, bytes: usize) -> io::Result<()> {
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
    fn poll_wait(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            let mut byte = [0];
            if ready!(self.stream.poll_peek(context, &mut ReadBuf::new(&mut byte)))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        self.exchange.wake_to_read(context);
        Poll::Pending
    }

    /// Reads and drops until the client ends. See [`UNREAD_BODY`].
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut dropped = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut dropped);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Has the connection end after [`UNREAD_BODY`], also where Actix would read a body to its end.
    fn begin_to_close(&mut self) {
        self.since = Instant::now();
        self.rest = vec![];
        self.look.as_mut().reset(self.since + UNREAD_BODY);
    }

    fn end_answer(&mut self, context: &Context<'_>) {
        self.exchange.end();
        self.given = 0;
        self.since = Instant::now();
        if self.exchange.stage() == Stage::Close {
            self.begin_to_close();
            context.waker().wake_by_ref();
        }
        self.unanswered = self.rest.len();
        if self.unanswered <= LARGE && self.exchange.stage() != Stage::Close {
            self.large = None;
        }
    }
}

impl Drop for BoundedStream {
    /// After a malformed request Actix does not shut the connection down: what has come is dropped here.
    fn drop(&mut self) {
        let mut dropped = [0; 4096];
        let reads = (0..DROPPED).map(|_| self.stream.try_read(&mut dropped));
        let _ = reads.take_while(|read| matches!(read, Ok(1..))).count();
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
            Stage::Begun | Stage::Handler | Stage::Answer => stream.poll_wait(context),
            Stage::Close => stream.poll_discard(context),
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
        if stream.is_shut {
            // Actix's 408 a second time.
            return Poll::Ready(Ok(bytes.len()));
        }
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

    /// The client may have sent more than Actix has read, and may lose the answer if the kernel resets the
    /// connection for that.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if !stream.is_shut {
            ready!(Pin::new(&mut stream.stream).poll_shutdown(context))?;
            stream.is_shut = true;
            stream.exchange.close();
            stream.begin_to_close();
        }
        stream.check_deadline(context)?;
        stream.poll_discard(context)
    }
}
