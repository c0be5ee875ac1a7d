//! A visitor of an app, with a jar of cookies as a browser has one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use archipelago::Settings;
use archipelago_lab::{World, eventually};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Door, Held, Site, other};
use crate::world::setup::{DEADLINE, HOUR, Repos, create_users};

/// An app, and its visitor. Clones share the jar.
#[derive(Clone)]
pub struct Visit {
    app: SocketAddr,
    held: Arc<Held>,
    /// The cookies by their names.
    jar: Arc<Mutex<BTreeMap<String, String>>>,
}

/// An answer to a request.
#[derive(Debug, Default)]
pub struct Answer {
    pub status: u16,
    /// Names are in lower case. A header may come several times.
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// The values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.headers.iter().filter(|header| header.0 == name);
        of_name.map(|header| header.1.as_str()).collect()
    }

    /// The only value of a header; empty without it.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        match self.all(name)[..] {
            [] => "",
            [value] => value,
            _ => panic!("{name} comes several times: {self:?}"),
        }
    }

    pub fn served_by(&self) -> &str {
        self.header("x-served-by")
    }

    pub fn positions(&self) -> Vec<&str> {
        self.all("archipelago-position")
    }

    pub fn set_cookies(&self) -> Vec<&str> {
        self.all("set-cookie")
    }
}

impl Visit {
    /// An app behind the door `D`. Its other set of repos has the same primary for every region.
    pub async fn new<D: Door>(world: &World, settings: &Settings) -> Self {
        let home = world.primary().url();
        let other = Settings::single_database::<other::Repos>(&home).unwrap().in_region("near");
        Self::with_other::<D>(settings, &other).await
    }

    /// An app whose pages under `/other` are in another database.
    pub async fn with_other<D: Door>(settings: &Settings, other: &Settings) -> Self {
        let held = Arc::new(Held { waiting: AtomicUsize::new(0), permits: Semaphore::new(0) });
        let site = Site {
            repos: Arc::new(Repos::connect(settings).await.unwrap()),
            other: Arc::new(other::Repos::connect(other).await.unwrap()),
            held: held.clone(),
        };
        Self { app: D::serve(site).await, held, jar: Arc::default() }
    }

    /// An app in `near`, whose replica is used however far behind it is.
    pub async fn near<D: Door>(world: &World) -> Self {
        let settings = create_users(world).await.in_region("near").with_max_lag(HOUR);
        Self::new::<D>(world, &settings).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), "\r\n").await
    }

    /// Creates a user.
    pub async fn post(&self, path: &str, name: &str) -> Answer {
        let answer = self.send_body(path, "", name).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "created"), "{answer:?}");
        answer
    }

    /// Posts a body with more headers.
    pub async fn send_body(&self, path: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let rest = format!("{headers}content-length: {length}\r\n\r\n{body}");
        self.send(&format!("POST {path}"), &rest).await
    }

    /// Sends a request whose answer is held once the database has answered.
    pub async fn send_held(&self, method_and_path: &'static str) -> JoinHandle<Answer> {
        let visit = self.clone();
        let answer = tokio::spawn(async move {
            visit.send(method_and_path, "content-length: 5\r\n\r\nfirst").await
        });
        eventually("the answer is held", DEADLINE, async || {
            self.held.waiting.load(Ordering::SeqCst) == 1
        })
        .await;
        answer
    }

    /// Lets the held answer go.
    pub fn release(&self) {
        self.held.permits.add_permits(1);
    }

    /// Sends a request with the cookies of now, and keeps those of its answer when that comes.
    /// `rest` has further headers, an empty line and the body.
    pub async fn send(&self, method_and_path: &str, rest: &str) -> Answer {
        let jar = self.jar.lock().await.clone();
        let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let request =
            format!("{method_and_path} HTTP/1.1\r\nhost: here\r\ncookie: {cookies}\r\n{rest}");
        let answer = timeout(DEADLINE, exchange(self.app, &request));
        let answer = answer.await.expect("the answer has an end");
        let mut jar = self.jar.lock().await;
        for cookie in answer.set_cookies() {
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub async fn cookies(&self) -> Vec<String> {
        self.jar.lock().await.keys().cloned().collect()
    }

    /// Changes the value of each cookie.
    pub async fn change_cookies(&self, change: impl Fn(&mut String)) {
        self.jar.lock().await.values_mut().for_each(change);
    }
}

/// Sends what there is of a request, and reads its answer: a server need not have read the body.
async fn exchange(app: SocketAddr, request: &str) -> Answer {
    let (read, mut write) = TcpStream::connect(app).await.unwrap().into_split();
    write.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Answer::default();
    let mut lines = BufReader::new(read).lines();
    let status = lines.next_line().await.unwrap().expect("an answer");
    answer.status = status.split(' ').nth(1).unwrap().parse().unwrap();
    while let Some((name, value)) = lines.next_line().await.unwrap().unwrap().split_once(": ") {
        answer.headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut body = vec![0; answer.header("content-length").parse().unwrap()];
    lines.into_inner().read_exact(&mut body).await.unwrap();
    answer.body = String::from_utf8(body).unwrap();
    answer
}
