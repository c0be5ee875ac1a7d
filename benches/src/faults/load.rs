//! The load: requests at a steady rate, whether or not those before them have been answered.

use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, timeout};

use crate::Failed;

/// More than any request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// After which the client closes a connection that it does not use.
const IDLE: Duration = Duration::from_secs(2);

/// Requests per second.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Of visitors who wrote nothing.
    pub reads: u32,
    /// After each of which its visitor reads what was written.
    pub writes: u32,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A user, by somebody who wrote nothing.
    Read,
    /// A user, by who created it.
    OwnRead,
    /// A new user.
    Write,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was asked for.
    pub kind: Kind,
    /// When it should have been sent.
    pub due: Instant,
    /// When its answer was complete.
    pub end: Instant,
    /// The region whose database served it, by its `x-served-by`.
    pub region: Option<String>,
    /// What was wrong with the answer, if anything was.
    pub trouble: Option<String>,
}

/// Visitors who come on and on.
pub struct Load {
    paces: [JoinHandle<()>; 2],
    coming: UnboundedReceiver<Answer>,
    answers: Vec<Answer>,
}

impl Load {
    /// Begins to read users up to this number, and to create new ones, at the app at `url`.
    ///
    /// # Errors
    /// When there can be no client.
    pub fn start(url: &str, rates: Rates, users: u32) -> Result<Self, Failed> {
        // A crate beside this one makes reqwest want TLS. A provider that is there already will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The app closes a connection that was silent for five seconds, and who just then asks on it gets no answer.
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(PATIENCE)
            .pool_idle_timeout(IDLE)
            .build()?;
        let (to, coming) = unbounded_channel();
        let visitor = Visitor { client, url: url.to_owned(), to };
        let (reader, mut id) = (visitor.clone(), 0);
        let reads = pace(rates.reads, move |due| {
            id = id % users + 1;
            let (reader, path) = (reader.clone(), format!("/users/{id}"));
            tokio::spawn(async move { reader.read(Kind::Read, due, &path, "").await });
        });
        let writes = pace(rates.writes, move |due| drop(tokio::spawn(visitor.clone().write(due))));
        Ok(Self { paces: [reads, writes], coming, answers: Vec::new() })
    }

    /// Waits for such an answer, at most this long: whether it came.
    pub async fn until(&mut self, patience: Duration, wanted: impl Fn(&Answer) -> bool) -> bool {
        let come = async {
            while let Some(answer) = self.coming.recv().await {
                self.answers.push(answer);
                if self.answers.last().is_some_and(&wanted) {
                    return true;
                }
            }
            false
        };
        timeout(patience, come).await.unwrap_or(false)
    }

    /// Ends it, and gives all answers, also to what is under way.
    pub async fn stop(mut self) -> Vec<Answer> {
        self.paces.iter().for_each(JoinHandle::abort);
        // The last visitor closes it.
        while let Some(answer) = self.coming.recv().await {
            self.answers.push(answer);
        }
        self.answers
    }
}

/// Calls with each moment that is due, so many times a second. Tokio's timer may be a millisecond late; that counts as waiting.
fn pace(rate: u32, mut ask: impl FnMut(Instant) + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut moments = interval(Duration::from_secs(1) / rate);
        loop {
            ask(moments.tick().await);
        }
    })
}

#[derive(Clone)]
struct Visitor {
    client: Client,
    url: String,
    to: UnboundedSender<Answer>,
}

impl Visitor {
    async fn read(&self, kind: Kind, due: Instant, path: &str, cookies: &str) {
        let request = self.client.get(format!("{}{path}", self.url)).header(COOKIE, cookies);
        self.answered(kind, due, StatusCode::OK, request.send().await).await;
    }

    async fn write(self, due: Instant) {
        let form = [("user[name]", "Ada Lovelace"), ("user[age]", "36")];
        let request = self.client.post(format!("{}/users", self.url)).form(&form);
        let Some(headers) =
            self.answered(Kind::Write, due, StatusCode::SEE_OTHER, request.send().await).await
        else {
            return;
        };
        let cookies = headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        if let Some(path) = headers.get(LOCATION).and_then(|path| path.to_str().ok()) {
            self.read(Kind::OwnRead, Instant::now(), path, &cookies).await;
        }
    }

    /// Notes what came; the headers of an answer as it should be.
    async fn answered(
        &self,
        kind: Kind,
        due: Instant,
        wanted: StatusCode,
        answer: reqwest::Result<Response>,
    ) -> Option<reqwest::header::HeaderMap> {
        let whole = async {
            let answer = answer?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            answer.bytes().await.map(|_| (status, headers))
        };
        let (status, headers) = match whole.await {
            Ok((status, headers)) => (Ok(status), Some(headers)),
            Err(error) => (Err(error), None),
        };
        let trouble = match status {
            Ok(status) => (status != wanted).then(|| status.to_string()),
            Err(error) => Some(last_cause(&error)),
        };
        let served = headers
            .as_ref()
            .and_then(|headers| headers.get("x-served-by")?.to_str().ok()?.split(';').next());
        let region = served.map(str::to_owned);
        let headers = headers.filter(|_| trouble.is_none());
        // Nobody listens any more once a measurement has failed.
        let _ = self.to.send(Answer { kind, due, end: Instant::now(), region, trouble });
        headers
    }
}

/// What the client says of its own accord is only that it could not send.
fn last_cause(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.last().map_or_else(|| error.to_string(), ToString::to_string)
}
