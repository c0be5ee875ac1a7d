//! One direction of a connection: takes bytes where they are sent, and delivers them when they
//! arrive.

use std::collections::VecDeque;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::select;
use tokio::task::yield_now;

use crate::links::arrival::Arrival;

/// The most bytes on the way: enough for 300 MB/s over a link of 400 ms.
const MOST: usize = 64 * 1024 * 1024;

/// The read buffer is allocated for this many bytes …
const BUFFER: usize = 128 * 1024;
/// … and used until fewer are left.
const LEAST: usize = 16 * 1024;

/// What travels over a link in one piece.
enum Parcel {
    Bytes(Bytes),
    /// The sender has closed its side.
    End,
    /// The sender's side broke.
    Reset,
}

/// Carries everything from one end to the other, the end of the connection included.
///
/// # Errors
/// When the connection is broken at one end, and the other end can know it.
pub(super) async fn carry(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut arrival: Arrival,
) -> io::Result<()> {
    let mut on_the_way: VecDeque<(Instant, Parcel)> = VecDeque::new();
    let (mut length, mut is_open) = (0, true);
    let mut buffer = BytesMut::new();
    loop {
        let reads = is_open && length < MOST;
        if reads && buffer.capacity() < LEAST {
            buffer.reserve(BUFFER);
        }
        // Side by side: a slow receiver must not keep later bytes from leaving the sender.
        select! {
            biased;
            delivered = deliver(on_the_way.front(), &mut to, &mut arrival) => {
                match (delivered, on_the_way.front_mut()) {
                    (Ok(count), Some((_, Parcel::Bytes(bytes)))) => {
                        length -= count;
                        bytes.advance(count);
                        if bytes.is_empty() {
                            on_the_way.pop_front();
                        }
                        // All connections share a thread: a long transfer must not delay the
                        // others.
                        yield_now().await;
                    }
                    (Ok(_), Some((_, Parcel::Reset))) => {
                        return Err(ErrorKind::ConnectionReset.into());
                    }
                    (Ok(_), _) => return Ok(()),
                    (Err(error), _) => {
                        // The receiver is gone; the sender learns it after the way back.
                        arrival.of_what_was_sent_at(Instant::now()).await;
                        return Err(error);
                    }
                }
            }
            read = from.read_buf(&mut buffer), if reads => {
                let parcel = match read {
                    Ok(0) => Parcel::End,
                    Ok(_) => Parcel::Bytes(buffer.split().freeze()),
                    Err(_) => Parcel::Reset,
                };
                length += read.unwrap_or(0);
                is_open = matches!(parcel, Parcel::Bytes(_));
                on_the_way.push_back((Instant::now(), parcel));
            }
        }
    }
}

/// Waits for the first parcel to arrive, and returns how many bytes of it the receiver took.
async fn deliver(
    first: Option<&(Instant, Parcel)>,
    to: &mut WriteHalf<'_>,
    arrival: &mut Arrival,
) -> io::Result<usize> {
    let Some((sent, parcel)) = first else { return pending().await };
    arrival.of_what_was_sent_at(*sent).await;
    match parcel {
        Parcel::Bytes(bytes) => to.write(bytes).await,
        Parcel::End => to.shutdown().await.map(|()| 0),
        Parcel::Reset => Ok(0),
    }
}
