//! A proxy before a server, which counts the statements and bytes that pass through it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::Failed;

/// A proxy that counts until the process ends.
#[derive(Debug)]
pub struct CountingProxy {
    /// Where it listens.
    pub address: SocketAddr,
    totals: Arc<Totals>,
}

#[derive(Debug, Default)]
struct Totals {
    statements: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

/// What has passed through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The statements that were run.
    pub statements: u64,
    /// The bytes sent to the server, without those of TCP and IP.
    pub sent: u64,
    /// The bytes received from the server.
    pub received: u64,
}

impl CountingProxy {
    /// Starts a proxy before `server`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(server: SocketAddr) -> Result<Self, Failed> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, totals) = (listener.local_addr()?, Arc::<Totals>::default());
        let counting = totals.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Otherwise the client's connection closes, as if the server had refused it.
                let Ok(server) = TcpStream::connect(server).await else { continue };
                // Otherwise TCP would delay small messages.
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                let (to_total, from_total) = (counting.clone(), counting.clone());
                let mut messages = Messages::default();
                tokio::spawn(forward(from_client, to_server, move |bytes| {
                    to_total.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    to_total.statements.fetch_add(messages.statements(bytes), Ordering::Relaxed);
                }));
                tokio::spawn(forward(from_server, to_client, move |bytes| {
                    from_total.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                }));
            }
        });
        Ok(Self { address, totals })
    }

    /// What has passed through so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let Totals { statements, sent, received } = &*self.totals;
        let [statements, sent, received] =
            [statements, sent, received].map(|count| count.load(Ordering::Relaxed));
        Counts { statements, sent, received }
    }
}

impl Counts {
    /// What has passed through since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            statements: self.statements - earlier.statements,
            sent: self.sent - earlier.sent,
            received: self.received - earlier.received,
        }
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut count: impl FnMut(&[u8])) {
    let mut bytes = vec![0; 1 << 14];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        count(&bytes[..length]);
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

/// Finds the messages in the bytes of a client, which may be split anywhere.
///
/// See <https://www.postgresql.org/docs/current/protocol-message-formats.html>.
#[derive(Default)]
struct Messages {
    /// Whether the startup message is complete. All messages after it begin with their type.
    started: bool,
    /// The bytes so far of a message's type and length.
    head: Vec<u8>,
    /// How many bytes of the current message are still to come.
    rest: usize,
}

impl Messages {
    /// The codes of `SSLRequest` and `GSSENCRequest`, which precede the startup message.
    const REQUESTS: [u32; 2] = [80_877_103, 80_877_104];

    /// Takes the next bytes, and returns how many statements begin in them.
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
            // The length of a message includes its own four bytes, but not the type.
            match (self.started, self.head.len()) {
                (true, 5) => {
                    // Execute and Query run a statement.
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
    fn statements_are_found_wherever_the_bytes_are_split() {
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
                "split at {at}"
            );
        }
    }
}
