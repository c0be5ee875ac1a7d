//! A proxy in front of a server, which counts what goes through it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::Failed;

/// Counts for as long as the process lives.
#[derive(Debug)]
pub struct Counter {
    /// Where it listens.
    pub address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    statements: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

/// What went through since the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Statements that were run.
    pub statements: u64,
    /// Bytes to the server, without those of TCP and IP.
    pub sent: u64,
    /// Bytes from the server.
    pub received: u64,
}

impl Counter {
    /// Begins to lead to `server`.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn before(server: SocketAddr) -> Result<Self, Failed> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, counts) = (listener.local_addr()?, Arc::<Counts>::default());
        let counting = counts.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // As a refusal, to the client: its connection closes.
                let Ok(server) = TcpStream::connect(server).await else { continue };
                // Without it TCP would wait for more to send.
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                let (asking, answering) = (counting.clone(), counting.clone());
                let mut messages = Messages::default();
                tokio::spawn(pass(from_client, to_server, move |bytes| {
                    asking.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    asking.statements.fetch_add(messages.statements(bytes), Ordering::Relaxed);
                }));
                tokio::spawn(pass(from_server, to_client, move |bytes| {
                    answering.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                }));
            }
        });
        Ok(Self { address, counts })
    }

    /// What it has counted so far.
    #[must_use]
    pub fn counted(&self) -> Counted {
        let Counts { statements, sent, received } = &*self.counts;
        let [statements, sent, received] =
            [statements, sent, received].map(|count| count.load(Ordering::Relaxed));
        Counted { statements, sent, received }
    }
}

impl Counted {
    /// What came after `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            statements: self.statements - earlier.statements,
            sent: self.sent - earlier.sent,
            received: self.received - earlier.received,
        }
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut count: impl FnMut(&[u8])) {
    let mut bytes = vec![0; 1 << 14];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        count(&bytes[..length]);
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

/// Finds the messages in what a client sends, wherever it is divided:
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html>.
#[derive(Default)]
struct Messages {
    /// The startup message is over: from now on each message begins with its type.
    started: bool,
    head: Vec<u8>,
    /// Bytes of the message that are still to come.
    rest: usize,
}

impl Messages {
    /// `SSLRequest` and `GSSENCRequest`, which come before the startup message.
    const REQUESTS: [u32; 2] = [80_877_103, 80_877_104];

    fn statements(&mut self, mut bytes: &[u8]) -> u64 {
        let mut statements = 0;
        while let Some((byte, others)) = bytes.split_first() {
            if self.rest > 0 {
                let skipped = self.rest.min(bytes.len());
                self.rest -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            self.head.push(*byte);
            bytes = others;
            let number = |at: usize| {
                self.head[at..at + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
            };
            // The length of a message counts its own four bytes, but not its type.
            match (self.started, self.head.len()) {
                (true, 5) => {
                    // Execute, and Query.
                    statements += u64::from(matches!(self.head[0], b'E' | b'Q'));
                    self.rest = (number(1) as usize).saturating_sub(4);
                    self.head.clear();
                }
                (false, 8) => {
                    self.started = !Self::REQUESTS.contains(&number(4));
                    self.rest = (number(0) as usize).saturating_sub(8);
                    self.head.clear();
                }
                _ => {}
            }
        }
        statements
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_found_wherever_the_bytes_are_divided() {
        let startup =
            [&[0, 0, 0, 8, 4, 210, 22, 47][..], &[0, 0, 0, 12, 0, 3, 0, 0], b"EEEE"].concat();
        let bind_execute_sync = b"B\0\0\0\x06QEE\0\0\0\x09\0\0\0\0\0S\0\0\0\x04";
        let query = b"Q\0\0\0\x0aBEGIN\0";
        let all = [&startup, &bind_execute_sync[..], query].concat();
        for at in 0..all.len() {
            let mut messages = Messages::default();
            assert_eq!(
                messages.statements(&all[..at]) + messages.statements(&all[at..]),
                2,
                "divided at {at}"
            );
        }
    }
}
