//! A relay in front of a server that can hold or lose what passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// Passes on what clients and a server send to each other.
#[derive(Clone)]
pub struct Relay {
    /// The connections up to this number are deaf, except the monitor's: what is sent on them is
    /// taken, and lost.
    deaf: watch::Sender<usize>,
    /// Whether answers wait.
    held: watch::Sender<bool>,
    accepted: Arc<AtomicUsize>,
    /// Whether the line back to the clients is slow.
    is_slow: Arc<AtomicBool>,
    /// How many connections have had more than [`LONG`] bytes of answers.
    long_answers: Arc<AtomicUsize>,
}

/// The length of a long answer.
const LONG: usize = 1 << 20;

impl Relay {
    /// Starts a relay to the server of `url`; returns it with the URL that leads through it.
    pub async fn start(url: &str) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server =
            url.rsplit('@').next().and_then(|rest| rest.split('/').next()).unwrap().to_owned();
        let url = url.replace(&server, &listener.local_addr().unwrap().to_string());
        let relay = Self {
            deaf: watch::Sender::new(0),
            held: watch::Sender::new(false),
            accepted: Arc::default(),
            is_slow: Arc::default(),
            long_answers: Arc::default(),
        };
        let accepting = relay.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = accepting.accepted.fetch_add(1, Ordering::SeqCst) + 1;
                let server = TcpStream::connect(&server).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let is_monitor = Arc::new(AtomicBool::new(false));
                let (request, answer) = (accepting.clone(), accepting.clone());
                tokio::spawn(request.pass(number, is_monitor.clone(), from_client, to_server));
                tokio::spawn(answer.pass_back(number, is_monitor, from_server, to_client));
            }
        });
        (relay, url)
    }

    /// How many connections were opened.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Loses all that is sent from now on on the pools' open connections. They stay open.
    pub fn lose_open_connections(&self) {
        self.deaf.send_replace(self.accepted());
    }

    /// Holds all answers back, or lets them go.
    pub fn hold_answers(&self, is_held: bool) {
        self.held.send_replace(is_held);
    }

    /// From now on a long answer takes seconds.
    pub fn slow_down(&self) {
        self.is_slow.store(true, Ordering::SeqCst);
    }

    /// How many connections have had a long answer.
    pub fn long_answers(&self) -> usize {
        self.long_answers.load(Ordering::SeqCst)
    }

    async fn pass(
        self,
        number: usize,
        is_monitor: Arc<AtomicBool>,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            // A new connection begins with its application name.
            if bytes[..count].windows(19).any(|text| text == b"archipelago monitor") {
                is_monitor.store(true, Ordering::SeqCst);
            }
            self.lose(number, &is_monitor).await;
            if to.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    }

    async fn pass_back(
        self,
        number: usize,
        is_monitor: Arc<AtomicBool>,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) {
        let (mut bytes, mut passed) = (vec![0; 1 << 16], 0);
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            let _ = self.held.subscribe().wait_for(|is_held| !is_held).await;
            self.lose(number, &is_monitor).await;
            let is_first = passed <= LONG && passed + count > LONG;
            self.long_answers.fetch_add(usize::from(is_first), Ordering::SeqCst);
            passed += count;
            if self.is_slow.load(Ordering::SeqCst) {
                sleep(Duration::from_millis(count as u64 / 600)).await;
            }
            if to.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    }

    /// Neither end of a deaf connection hears of the other again.
    async fn lose(&self, number: usize, is_monitor: &AtomicBool) {
        if *self.deaf.borrow() >= number && !is_monitor.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}
