//! One direction of a connection: takes bytes where they are sent, and hands them on when they have arrived.

use std::collections::VecDeque;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::select;
use tokio::task::yield_now;

use crate::lines::crossing::Crossing;

/// What may be on the way, in bytes: enough for 300 MB/s on a line of 400 ms.
const MOST: usize = 64 * 1024 * 1024;

/// Space for reading is made for this many bytes …
const PIECE: usize = 128 * 1024;
/// … and used until fewer are left.
const LEAST: usize = 16 * 1024;

/// What goes along a line in one piece.
enum Parcel {
    Bytes(Bytes),
    /// The sender has closed its side.
    End,
    /// The sender's side broke.
    Reset,
}

/// Carries everything from one end to the other, the end itself included.
///
/// # Errors
/// When the connection is broken at one end, and this can be known at the other.
pub(super) async fn carry(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut crossing: Crossing,
) -> io::Result<()> {
    let mut way: VecDeque<(Instant, Parcel)> = VecDeque::new();
    let (mut length, mut sending) = (0, true);
    let mut space = BytesMut::new();
    loop {
        let room = sending && length < MOST;
        if room && space.capacity() < LEAST {
            space.reserve(PIECE);
        }
        // Side by side: a receiver that takes its time must not keep what follows from setting out.
        select! {
            biased;
            handed = hand_over(way.front(), &mut to, &mut crossing) => match (handed, way.front_mut()) {
                (Ok(count), Some((_, Parcel::Bytes(bytes)))) => {
                    length -= count;
                    bytes.advance(count);
                    if bytes.is_empty() {
                        way.pop_front();
                    }
                    // All connections share a thread: a long transfer must not make the others late.
                    yield_now().await;
                }
                (Ok(_), Some((_, Parcel::Reset))) => return Err(ErrorKind::ConnectionReset.into()),
                (Ok(_), _) => return Ok(()),
                (Err(error), _) => {
                    // The receiver is gone; the sender hears of it when the news has come all the way back.
                    crossing.since(Instant::now()).await;
                    return Err(error);
                }
            },
            read = from.read_buf(&mut space), if room => {
                let parcel = match read {
                    Ok(0) => Parcel::End,
                    Ok(_) => Parcel::Bytes(space.split().freeze()),
                    Err(_) => Parcel::Reset,
                };
                length += read.unwrap_or(0);
                sending = matches!(parcel, Parcel::Bytes(_));
                way.push_back((Instant::now(), parcel));
            }
        }
    }
}

/// Waits for the first parcel to arrive, and hands over as much of it as the receiver takes: this many bytes.
async fn hand_over(
    first: Option<&(Instant, Parcel)>,
    to: &mut WriteHalf<'_>,
    crossing: &mut Crossing,
) -> io::Result<usize> {
    let Some((sent, parcel)) = first else { return pending().await };
    crossing.since(*sent).await;
    match parcel {
        Parcel::Bytes(bytes) => to.write(bytes).await,
        Parcel::End => to.shutdown().await.map(|()| 0),
        Parcel::Reset => Ok(0),
    }
}
