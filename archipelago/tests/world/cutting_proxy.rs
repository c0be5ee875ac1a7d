//! A proxy in front of a server, which cuts a connection right behind the answer to an INSERT.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Cuts nothing until it is told to.
#[derive(Clone, Default)]
pub struct CuttingProxy {
    cuts_next: Arc<AtomicBool>,
}

impl CuttingProxy {
    /// Starts a proxy to the server of `url`; returns it with the URL that leads through it.
    pub async fn start(url: &str) -> (Self, String) {
        let (proxy, listener) = (Self::default(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let server =
            url.rsplit('@').next().and_then(|rest| rest.split('/').next()).unwrap().to_owned();
        let url = url.replace(&server, &listener.local_addr().unwrap().to_string());
        let cutting = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                let ((mut from_client, to_client), (from_server, mut to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
                let cutting = cutting.clone();
                tokio::spawn(async move { cutting.forward_answers(from_server, to_client).await });
            }
        });
        (proxy, url)
    }

    /// Cuts the connection of the next INSERT once that is answered.
    pub fn cut_after_next_insert(&self) {
        self.cuts_next.store(true, Ordering::SeqCst);
    }

    /// Forwards one message after the other until the connection is to be cut.
    async fn forward_answers(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
    ) -> io::Result<()> {
        let mut is_first = true;
        let mut is_inserted = false;
        loop {
            let kind = from.read_u8().await?;
            to.write_u8(kind).await?;
            // The answer to the request for TLS has no length.
            if std::mem::take(&mut is_first) && kind == b'N' {
                continue;
            }
            let length = from.read_u32().await?;
            let mut body = vec![0; length as usize - 4];
            from.read_exact(&mut body).await?;
            to.write_u32(length).await?;
            to.write_all(&body).await?;
            is_inserted |= kind == b'C'
                && body.starts_with(b"INSERT")
                && self.cuts_next.swap(false, Ordering::SeqCst);
            if is_inserted && kind == b'Z' {
                return Ok(());
            }
        }
    }
}
