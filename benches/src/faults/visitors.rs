//! The visitors: requests at a steady rate, even when earlier requests have no answer yet.

use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, timeout};

use crate::Failed;
use crate::http;

/// The timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The time after which the client closes an idle connection.
///
/// The app closes a connection after five idle seconds. A request that is sent at that moment would
/// get no answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// Requests per second.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Reads by visitors who have written nothing.
    pub reads: u32,
    /// Writes, each followed by a read of the same visitor.
    pub writes: u32,
}

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A visitor who has written nothing reads a user.
    Read,
    /// A visitor reads the user that they have just created.
    OwnRead,
    /// A visitor creates a user.
    Write,
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The kind of the request.
    pub kind: Kind,
    /// When the request was due.
    pub due: Instant,
    /// When the answer was complete.
    pub end: Instant,
    /// The region whose database served the request, from the header `x-served-by`.
    pub region: Option<String>,
    /// What was wrong with the answer, if it was wrong.
    pub problem: Option<String>,
}

/// Visitors who send requests until they are stopped.
pub struct Visitors {
    senders: [JoinHandle<()>; 2],
    incoming: UnboundedReceiver<Answer>,
    answers: Vec<Answer>,
}

impl Visitors {
    /// Starts to read users with the ids from 1 to `users`, and to create users, at the app at
    /// `url`.
    ///
    /// # Errors
    /// When the HTTP client cannot be created.
    pub fn start(url: &str, rates: Rates, users: u32) -> Result<Self, Failed> {
        let client = http::client()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build()?;
        let (answers, incoming) = unbounded_channel();
        let visitor = Visitor { client, url: url.to_owned(), answers };
        let (reader, mut id) = (visitor.clone(), 0);
        let reads = at_rate(rates.reads, move |due| {
            id = id % users + 1;
            let (reader, path) = (reader.clone(), format!("/users/{id}"));
            tokio::spawn(async move { reader.read(Kind::Read, due, &path, "").await });
        });
        let writes =
            at_rate(rates.writes, move |due| drop(tokio::spawn(visitor.clone().write(due))));
        Ok(Self { senders: [reads, writes], incoming, answers: Vec::new() })
    }

    /// Waits until an answer satisfies `wanted`; false if none does within `limit`.
    pub async fn wait_for(&mut self, limit: Duration, wanted: impl Fn(&Answer) -> bool) -> bool {
        let arrival = async {
            while let Some(answer) = self.incoming.recv().await {
                self.answers.push(answer);
                if self.answers.last().is_some_and(&wanted) {
                    return true;
                }
            }
            false
        };
        timeout(limit, arrival).await.unwrap_or(false)
    }

    /// Sends no more requests, and returns all answers, also those that are still to come.
    pub async fn stop(mut self) -> Vec<Answer> {
        self.senders.iter().for_each(JoinHandle::abort);
        // The channel closes when the last request has its answer.
        while let Some(answer) = self.incoming.recv().await {
            self.answers.push(answer);
        }
        self.answers
    }
}

/// Calls `send` with the moment when a request is due, `rate` times a second.
///
/// Tokio's timer may be a millisecond late, which counts as latency.
fn at_rate(rate: u32, mut send: impl FnMut(Instant) + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut moments = interval(Duration::from_secs(1) / rate);
        loop {
            send(moments.tick().await);
        }
    })
}

#[derive(Clone)]
struct Visitor {
    client: Client,
    url: String,
    answers: UnboundedSender<Answer>,
}

impl Visitor {
    async fn read(&self, kind: Kind, due: Instant, path: &str, cookies: &str) {
        let request = self.client.get(format!("{}{path}", self.url)).header(COOKIE, cookies);
        self.record(kind, due, StatusCode::OK, request.send().await).await;
    }

    async fn write(self, due: Instant) {
        let form = [("user[name]", "Ada Lovelace"), ("user[age]", "36")];
        let request = self.client.post(format!("{}/users", self.url)).form(&form);
        let Some(headers) =
            self.record(Kind::Write, due, StatusCode::SEE_OTHER, request.send().await).await
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

    /// Records the answer. Returns its headers if it has the status `wanted`.
    async fn record(
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
        let problem = match status {
            Ok(status) => (status != wanted).then(|| status.to_string()),
            Err(error) => Some(last_cause(&error)),
        };
        let served = headers
            .as_ref()
            .and_then(|headers| headers.get("x-served-by")?.to_str().ok()?.split(';').next());
        let region = served.map(str::to_owned);
        let headers = headers.filter(|_| problem.is_none());
        // The channel is closed when the measurement has failed.
        let _ = self.answers.send(Answer { kind, due, end: Instant::now(), region, problem });
        headers
    }
}

/// The innermost cause of an error: the error itself only says that the request was not sent.
fn last_cause(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.last().map_or_else(|| error.to_string(), ToString::to_string)
}
