//! A proxy that counts the times that its client had to wait for an answer before it could go on. The app's tests count with it too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A line: what is asked without waiting for an answer is on its way by then.
const LINE: Duration = Duration::from_millis(20);

/// Counts what goes through it to one server, but for what the monitor asks now and then.
#[derive(Clone, Default)]
pub struct Counter {
    trips: Arc<AtomicUsize>,
}

/// One client's connection.
struct Connection {
    counter: Counter,
    /// Whether nothing was asked since the last answer.
    answered: AtomicBool,
    is_monitor: AtomicBool,
}

impl Counter {
    /// Listens in front of the server of `url`, and gives the URL of itself.
    pub async fn before(url: &str) -> (Self, String) {
        let (counter, listener) =
            (Self::default(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let server =
            url.rsplit('@').next().and_then(|rest| rest.split('/').next()).unwrap().to_owned();
        let url = url.replace(&server, &listener.local_addr().unwrap().to_string());
        let counting = counter.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let (answered, is_monitor) = (AtomicBool::new(true), AtomicBool::new(false));
                let asking =
                    Arc::new(Connection { counter: counting.clone(), answered, is_monitor });
                let answering = asking.clone();
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(async move { asking.ask(from_client, to_server).await });
                tokio::spawn(async move { answering.answer(from_server, to_client).await });
            }
        });
        (counter, url)
    }

    /// The round trips that `work` takes.
    pub async fn of(&self, work: impl Future) -> usize {
        let before = self.trips.load(Ordering::SeqCst);
        work.await;
        self.trips.load(Ordering::SeqCst) - before
    }
}

/// The fewest round trips of some tries: a busy machine pulls apart what is sent together, and so takes more, but never less.
pub async fn fewest(mut work: impl AsyncFnMut() -> usize) -> usize {
    let mut fewest = usize::MAX;
    for _ in 0..5 {
        fewest = fewest.min(work().await);
    }
    fewest
}

impl Connection {
    async fn ask(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            // A new connection says its name.
            if bytes[..count].windows(19).any(|text| text == b"archipelago monitor") {
                self.is_monitor.store(true, Ordering::SeqCst);
            }
            if self.answered.swap(false, Ordering::SeqCst)
                && !self.is_monitor.load(Ordering::SeqCst)
            {
                self.counter.trips.fetch_add(1, Ordering::SeqCst);
            }
            if to.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            tokio::time::sleep(LINE).await;
            // Whoever asks from now on may have waited for this.
            self.answered.store(true, Ordering::SeqCst);
            if to.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    }
}
