//! A stream that reads along what a server sends, and records its errors: Diesel drops their
//! SQLSTATE.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::{End, ServerError, SessionRecord};

/// The longest body of a message that is kept. A longer error is passed over.
const LONGEST: usize = 1 << 16;

/// The length of a message's header: its type, and its length without the type.
const HEADER: usize = 5;

/// A stream of PostgreSQL's protocol, decrypted.
pub(super) struct Tap<S> {
    stream: S,
    is_encrypted: bool,
    messages: Messages,
    session: Arc<SessionRecord>,
}

impl<S> Tap<S> {
    pub(super) fn new(stream: S, is_encrypted: bool, session: Arc<SessionRecord>) -> Self {
        Self { stream, is_encrypted, messages: Messages::default(), session }
    }

    pub(super) fn stream(&self) -> &S {
        &self.stream
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    fn record_failure(&self, error: &io::Error) {
        let has_vanished = matches!(
            error.kind(),
            io::ErrorKind::TimedOut
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
        );
        self.session.record_end(if has_vanished { End::Vanished } else { End::Closed });
    }

    fn record_written(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(bytes)) => self.session.record_sent(*bytes),
            Poll::Ready(Err(error)) => {
                // Some records of TLS may have left.
                self.session.record_sent(usize::from(self.is_encrypted));
                self.record_failure(error);
            }
            Poll::Pending => {}
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let Self { messages, session, .. } = &mut *self;
        session.record_received(buffer.filled().len() - before);
        match &read {
            Ok(()) if buffer.filled().len() == before => session.record_end(End::Closed),
            Ok(()) => messages.read(&buffer.filled()[before..], |kind, body| match kind {
                b'E' => ServerError::parse(body).into_iter().for_each(|error| {
                    session.record_error(error);
                }),
                b'1' => session.record_prepared(),
                b'3' => session.record_forgotten(),
                b'Z' => session.record_answered(body.first().copied().unwrap_or_default()),
                _ => {
                    let process = body.first_chunk().map_or(0, |id| i32::from_be_bytes(*id));
                    session.record_process(process);
                }
            }),
            Err(error) => self.record_failure(error),
        }
        Poll::Ready(read)
    }
}

impl<S> Drop for Tap<S> {
    /// Before the driver tells its callers that no answer will come.
    fn drop(&mut self) {
        self.session.record_end(End::Dropped);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.record_written(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.record_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Ends once the server has closed its end too: only then its process is gone.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        let mut bytes = [0; 64];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Cuts a stream into messages. A row costs its header; its body is passed over.
#[derive(Default)]
struct Messages {
    header: [u8; HEADER],
    /// How much of the header has come.
    filled: usize,
    /// How much of the body is to come.
    left: usize,
    /// The body so far, if it is kept.
    kept: Option<Vec<u8>>,
}

impl Messages {
    /// Reads on. Hands over each `ErrorResponse` (`E`), `BackendKeyData` (`K`), `ParseComplete` (`1`),
    /// `CloseComplete` (`3`) and `ReadyForQuery` (`Z`).
    fn read(&mut self, mut bytes: &[u8], mut hand_over: impl FnMut(u8, &[u8])) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let (body, rest) = bytes.split_at(self.left.min(bytes.len()));
                self.left -= body.len();
                if let Some(kept) = &mut self.kept {
                    kept.extend_from_slice(body);
                }
                bytes = rest;
            } else {
                let (part, rest) = bytes.split_at((HEADER - self.filled).min(bytes.len()));
                self.header[self.filled..][..part.len()].copy_from_slice(part);
                self.filled += part.len();
                bytes = rest;
                if self.filled < HEADER {
                    return;
                }
                let [kind, length @ ..] = self.header;
                let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                (self.filled, self.left) = (0, length.saturating_sub(4));
                let is_kept =
                    matches!(kind, b'E' | b'K' | b'1' | b'3' | b'Z') && self.left <= LONGEST;
                if is_kept && self.left <= bytes.len() {
                    // The whole body is here: it need not be copied.
                    let (body, rest) = bytes.split_at(std::mem::take(&mut self.left));
                    hand_over(kind, body);
                    bytes = rest;
                } else {
                    self.kept = is_kept.then(Vec::new);
                }
            }
            if self.left == 0
                && self.filled == 0
                && let Some(body) = self.kept.take()
            {
                hand_over(self.header[0], &body);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind][..], &length, body].concat()
    }

    #[test]
    fn messages_are_found_however_the_stream_is_cut() {
        let long = vec![b'x'; LONGEST + 1];
        let stream = [
            message(b'K', &[0, 0, 0, 7, 1, 2, 3, 4]),
            message(b'1', b""),
            message(b'Z', b"I"),
            message(b'D', &[b'E'; 300]),
            message(b'E', &long),
            message(b'n', b""),
            message(b'E', b"C57014\0\0"),
            message(b'E', b""),
        ]
        .concat();
        let expected = vec![
            (b'K', vec![0, 0, 0, 7, 1, 2, 3, 4]),
            (b'1', Vec::new()),
            (b'Z', b"I".to_vec()),
            (b'E', b"C57014\0\0".to_vec()),
            (b'E', Vec::new()),
        ];
        for size in [1, 2, 4, 5, 6, 7, 64, 1000, stream.len()] {
            let (mut messages, mut found) = (Messages::default(), Vec::new());
            for part in stream.chunks(size) {
                messages.read(part, |kind, body| found.push((kind, body.to_vec())));
            }
            assert_eq!(found, expected, "in parts of {size}");
        }
    }
}
