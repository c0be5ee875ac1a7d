//! Somebody who reads and writes: one request after the other, each written down.

mod context;
pub mod html;
mod response;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use reqwest::{Client, RequestBuilder, redirect};
use tokio::time::sleep;

pub use self::context::{Manner, Site};

use self::html as page;
use self::response::Answer;
use crate::Position;
use crate::history::operation::{Action, Operation, Outcome};
use crate::workload::register::{Row, Version};

/// For an answer: the app's own patience with a silent server is shorter.
const PATIENCE: Duration = Duration::from_secs(15);

/// Rows that a visitor writes at a time. One whose write is uncertain is written no more: it could still happen, later than the next.
const ROWS: usize = 3;

/// A create is sent so often at most, with the same key, until an answer is certain.
const TRIES: u32 = 6;

/// In milliseconds, between two requests.
const THINKING: std::ops::Range<u64> = 5..60;

/// Between two tries of a create.
const AGAIN: Duration = Duration::from_millis(400);

/// The header of a position, both ways, for programs.
const POSITION: &str = "archipelago-position";

/// How a visitor carries positions.
#[derive(Debug)]
enum Carries {
    /// A browser: in a cookie.
    Cookie,
    /// A program: in a header, as the last answer had it.
    Header(Option<String>),
}

/// A visitor.
#[derive(Debug)]
pub struct Visitor {
    id: u32,
    site: Arc<Site>,
    place: String,
    client: Client,
    carries: Carries,
    rng: Rng,
    /// Those that may be written, with their ids and versions.
    rows: Vec<(Row, i64, Version)>,
    created: u32,
    history: Vec<Operation>,
}

impl Visitor {
    /// The visitor with this number, from 1. Every third is a program, the others are browsers. Every fifth only reads; these stand in
    /// one region after the other, beginning with the first replica's, and so do all others.
    ///
    /// # Errors
    /// When the system gives no client.
    pub fn new(id: u32, seed: u64, site: &Arc<Site>) -> Result<Self, reqwest::Error> {
        let carries = if id.is_multiple_of(3) { Carries::Header(None) } else { Carries::Cookie };
        let client = Client::builder()
            .cookie_store(matches!(carries, Carries::Cookie))
            .redirect(redirect::Policy::none());
        let place = if only_reads(id) { id / 5 } else { id - id / 5 };
        let place = site.regions[place as usize % site.regions.len()].clone();
        let (client, rng) =
            (client.timeout(PATIENCE).build()?, Rng::with_seed(seed ^ u64::from(id) << 32));
        Ok(Self {
            id,
            site: site.clone(),
            place,
            client,
            carries,
            rng,
            rows: vec![],
            created: 0,
            history: vec![],
        })
    }

    /// Visits until the end, and tells everything.
    pub async fn visit(mut self) -> Vec<Operation> {
        while !*self.site.end.borrow() {
            match self.site.manner {
                Manner::Watchful => self.write_and_look().await,
                Manner::Roaming | Manner::Staying => self.follow_a_whim().await,
            }
            sleep(Duration::from_millis(self.rng.u64(THINKING))).await;
        }
        self.history
    }

    async fn follow_a_whim(&mut self) {
        let whim = self.rng.u16(if only_reads(self.id) { 600..1000 } else { 0..1000 });
        match whim {
            0..600 if self.rows.len() < ROWS => self.create().await,
            0..300 => self.update().await,
            300..600 => {
                let at = self.rng.usize(..self.rows.len());
                let (row, id, _) = self.rows[at];
                self.read(row, id).await;
            }
            600..850 => {
                let chosen = self.rng.choice(&*self.site.known()).copied();
                if let Some((id, row)) = chosen {
                    self.read(row, id).await;
                }
            }
            850..995 => self.list().await,
            _ if self.site.manner == Manner::Roaming => {
                self.place = self.rng.choice(&self.site.regions).cloned().unwrap_or_default();
            }
            _ => {}
        }
    }

    async fn write_and_look(&mut self) {
        let Some(&(row, id, _)) = self.rows.first() else { return self.create().await };
        self.read(row, id).await;
        if self.history.last().and_then(Operation::database) == Some(&self.place) {
            self.update().await;
            self.read(row, id).await;
        }
    }

    async fn create(&mut self) {
        self.created += 1;
        let row = Row { owner: self.id, number: self.created };
        let key = uuid::Builder::from_random_bytes(self.rng.u128(..).to_ne_bytes())
            .into_uuid()
            .to_string();
        for _ in 0..TRIES {
            let form =
                [("user[name]", row.name(1)), ("user[age]", "1".to_owned()), ("_key", key.clone())];
            let request = self.client.post(format!("{}/users", self.site.url)).form(&form);
            let answer = self.send(Action::Create(row), request).await;
            if let Some(id) = answer.location.as_deref().and_then(page::id) {
                self.rows.push((row, id, 1));
                self.site.known().push((id, row));
                return;
            }
            if *self.site.end.borrow() {
                return;
            }
            sleep(AGAIN).await;
        }
    }

    async fn update(&mut self) {
        let at = self.rng.usize(..self.rows.len());
        let (row, id, version) = &mut self.rows[at];
        *version += 1;
        let (row, id, version) = (*row, *id, *version);
        let form = [("user[name]", row.name(version)), ("_method", "put".to_owned())];
        let request = self.client.post(format!("{}/users/{id}", self.site.url)).form(&form);
        let answer = self.send(Action::Update(row, version), request).await;
        let is_gone = answer.status == Some(404);
        if is_gone || answer.outcome == Outcome::Uncertain {
            self.rows.swap_remove(at);
        }
    }

    async fn read(&mut self, row: Row, id: i64) {
        let (action, rest) = if self.rng.u8(..4) == 0 {
            (Action::Edit(row), "/edit")
        } else {
            (Action::Read(row), "")
        };
        let request = self.client.get(format!("{}/users/{id}{rest}", self.site.url));
        let answer = self.send(action, request).await;
        let Some(operation) = self.history.last_mut().filter(|it| it.outcome == Outcome::Done)
        else {
            return;
        };
        // A row of this id that is another one was made after this one was lost.
        let version = page::rows(&answer.body)
            .iter()
            .find(|(it, ..)| *it == row)
            .map_or(0, |(_, version, _)| *version);
        operation.seen = vec![(row, version)];
    }

    async fn list(&mut self) {
        let known = self.site.known().clone();
        let after = self.rng.choice(&known).map_or(0, |(id, _)| id - 1);
        let request = self.client.get(format!("{}/users?after={after}", self.site.url));
        let body = self.send(Action::List, request).await.body;
        let Some(operation) = self.history.last_mut().filter(|it| it.outcome == Outcome::Done)
        else {
            return;
        };
        let shown = page::rows(&body);
        let is_whole = shown.len() < usize::from(archipelago_app::paging::PAGE_SIZE);
        let last = if is_whole { i64::MAX } else { shown.last().map_or(after, |(.., id)| *id) };
        let missing = known.iter().filter(|(id, row)| {
            after < *id && *id <= last && shown.iter().all(|(it, ..)| it != row)
        });
        let missing = missing.map(|(_, row)| (*row, 0));
        // One that is there twice is found at the end; the newer of the two is what a visitor would take for it.
        let mut seen: HashMap<Row, Version> = missing.collect();
        for (row, version, _) in shown {
            let newest = seen.entry(row).or_default();
            *newest = version.max(*newest);
        }
        operation.seen = seen.into_iter().collect();
    }

    /// Sends a request, and writes down what came of it.
    async fn send(&mut self, action: Action, request: RequestBuilder) -> Answer {
        let request = match &self.carries {
            Carries::Header(Some(position)) => request.header(POSITION, position),
            Carries::Header(None) | Carries::Cookie => request,
        };
        let start = self.site.began.elapsed();
        let answer = Answer::of(request.header("fly-prefer-region", &self.place), action).await;
        if let (Carries::Header(carried), Some(position)) = (&mut self.carries, &answer.position) {
            *carried = Some(position.clone());
        }
        self.history.push(Operation {
            visitor: self.id,
            place: self.place.clone(),
            start,
            end: self.site.began.elapsed(),
            action,
            outcome: answer.outcome,
            status: answer.status,
            served_by: answer.served_by.clone(),
            instance: answer.instance.clone(),
            position: answer.position.as_deref().and_then(Position::of_header),
            id: answer.location.as_deref().and_then(page::id),
            seen: vec![],
        });
        answer
    }
}

/// Who writes nothing carries no position of a write.
fn only_reads(id: u32) -> bool {
    id.is_multiple_of(5)
}
