//! Sends a client's requests through the edge, and records each of them. A browser sends several at
//! once now and then, and applies the cookies of each answer when that arrives, as reqwest does.

mod context;
mod html;
mod response;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{RequestBuilder, redirect};
use tokio::time::sleep;

pub use context::ClientContext;

use self::response::Response;
use crate::history::{Operation, Outcome, Position};
use crate::workload::{Generator, OPERATOR, Register, Request, Step, Version, Workload};

/// How long a client waits for an answer. The app gives up on a silent server earlier.
const TIMEOUT: Duration = Duration::from_secs(15);

/// How often a client sends a create, with one idempotency key, until its outcome is known.
const CREATE_ATTEMPTS: u32 = 6;

/// The pause between two attempts of a create.
const RETRY_PAUSE: Duration = Duration::from_millis(400);

/// Registers that a client writes at once.
const REGISTERS_IN_A_BURST: usize = 3;

/// Between two bursts of clients that send nothing else. Lagging replicas show by then what the last
/// one has written, so that they serve the next.
const BETWEEN_BURSTS: Duration = Duration::from_secs(1);

/// How many reads in one region wait for the operator's next commit, at most.
const READS_BEFORE_A_HOP: u32 = 200;

/// The header in which API clients carry a position, in requests and in answers.
const POSITION: &str = "archipelago-position";

/// How a client carries positions.
#[derive(Debug)]
enum PositionCarrier {
    /// As a browser does, in a cookie.
    Cookie,
    /// As an API client does, by sending the last answer's header back.
    Header(Option<String>),
}

/// A register that the client may write.
#[derive(Clone, Copy, Debug)]
struct OwnRegister {
    register: Register,
    user_id: i64,
    version: Version,
}

/// A client: Jepsen's process.
#[derive(Debug)]
pub struct Client {
    id: u32,
    context: Arc<ClientContext>,
    region: String,
    http: reqwest::Client,
    carrier: PositionCarrier,
    generator: Generator,
    /// A register leaves this list once the outcome of a write to it is unknown: that write could
    /// still happen, after the next one.
    registers: Vec<OwnRegister>,
    created: u32,
    operations: Vec<Operation>,
}

impl Client {
    /// The client with this number; numbers start at 1. Every third client is an API client, the
    /// others are browsers. Every fifth only reads. Readers are spread over the regions, beginning
    /// with the first replica's, and so are writers.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn new(id: u32, seed: u64, context: &Arc<ClientContext>) -> Result<Self, reqwest::Error> {
        let carrier = if id.is_multiple_of(3) {
            PositionCarrier::Header(None)
        } else {
            PositionCarrier::Cookie
        };
        let http = reqwest::Client::builder()
            .cookie_store(matches!(carrier, PositionCarrier::Cookie))
            .redirect(redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()?;
        // A client that never writes carries no position of a write.
        let is_reader = id.is_multiple_of(5);
        let turn = if is_reader { id / 5 } else { id - id / 5 };
        Ok(Self {
            id,
            context: context.clone(),
            region: context.regions[turn as usize % context.regions.len()].clone(),
            http,
            carrier,
            generator: Generator::new(seed, id, context.workload, is_reader),
            registers: vec![],
            created: 0,
            operations: vec![],
        })
    }

    /// Sends requests until the run stops; returns the record of them.
    pub async fn run(mut self) -> Vec<Operation> {
        while !self.is_stopped() {
            match self.context.workload {
                Workload::ReadAfterWrite => self.read_write_read().await,
                Workload::Overlapping => {
                    self.burst().await;
                    sleep(BETWEEN_BURSTS).await;
                }
                Workload::Hopping => self.hop().await,
                Workload::Roaming | Workload::Stationary => self.next_step().await,
            }
            sleep(self.generator.think_time()).await;
        }
        self.operations
    }

    async fn next_step(&mut self) {
        match self.generator.step(self.registers.len()) {
            Step::Create => self.create().await,
            Step::Update => self.update().await,
            Step::ReadOwn => {
                if let Some(&own) = self.generator.choose(&self.registers) {
                    self.read(own.register, own.user_id).await;
                }
            }
            Step::ReadAny => {
                let chosen = self.generator.choose(&*self.context.created()).copied();
                if let Some((user_id, register)) = chosen {
                    self.read(register, user_id).await;
                }
            }
            Step::List => self.list().await,
            Step::Burst => self.burst().await,
            Step::Move => {
                let region = self.generator.choose(&self.context.regions);
                self.region = region.cloned().unwrap_or_default();
            }
            Step::Skip => {}
        }
    }

    async fn read_write_read(&mut self) {
        let Some(&OwnRegister { register, user_id, .. }) = self.registers.first() else {
            return self.create().await;
        };
        self.read(register, user_id).await;
        if self.operations.last().and_then(Operation::database) == Some(&self.region) {
            self.update().await;
            self.read(register, user_id).await;
        }
    }

    /// Writes each own register, and reads it meanwhile, all at once. Then reads each again: by then
    /// every answer has arrived, in whatever order.
    ///
    /// If clients send nothing else, the reads in a burst set out in the first replica's region: the
    /// client moves while they are under way.
    async fn burst(&mut self) {
        if self.registers.len() < REGISTERS_IN_A_BURST {
            return self.create().await;
        }
        // A program that carries one header has to order its requests itself.
        if matches!(self.carrier, PositionCarrier::Header(_)) {
            return self.update().await;
        }
        let moved_from = match (self.context.workload, &*self.context.regions) {
            (Workload::Overlapping, [_, first, ..]) => first,
            _ => &self.region,
        };
        let mut requests = Vec::new();
        for own in &mut self.registers {
            own.version += 1;
        }
        for own in &self.registers {
            let read = self.http.get(self.user_url(own.user_id));
            requests.push((moved_from, Request::Read(own.register), read));
            let (update, http) = self.update_request(*own);
            requests.push((&self.region, update, http));
        }
        let exchanges = requests
            .into_iter()
            .map(|(region, request, http)| self.exchange(region, request, http));
        for (mut operation, response) in join_all(exchanges).await {
            if let Request::Read(register) = operation.request
                && operation.outcome == Outcome::Ok
            {
                operation.observed = vec![(register, version_on_page(&response, register))];
            }
            self.give_up_if_uncertain(&operation);
            self.operations.push(operation);
        }
        for own in self.registers.clone() {
            self.read_page(own.register, own.user_id).await;
        }
    }

    /// Reads what the operator writes until it changes, then reads it once in the last region.
    async fn hop(&mut self) {
        let mut operators = self.context.created().clone();
        operators.retain(|(_, register)| register.owner == OPERATOR);
        let Some(&(user_id, register)) = self.generator.choose(&operators) else { return };
        let [first, second, last, ..] = &*self.context.regions else { return };
        let last = last.clone();
        self.region = self.generator.choose([first, second]).cloned().unwrap_or_default();
        let mut before = None;
        for _ in 0..READS_BEFORE_A_HOP {
            if self.is_stopped() {
                return;
            }
            let version = self.read_page(register, user_id).await;
            if version.is_some() && before.is_some() && version != before {
                break;
            }
            before = version.or(before);
        }
        self.region = last;
        self.read_page(register, user_id).await;
    }

    async fn create(&mut self) {
        self.created += 1;
        let register = Register { owner: self.id, number: self.created };
        let form = [
            ("user[name]", register.user_name(1)),
            ("user[age]", "1".to_owned()),
            ("_key", self.generator.idempotency_key().to_string()),
        ];
        for _ in 0..CREATE_ATTEMPTS {
            let request = self.http.post(format!("{}/users", self.context.url)).form(&form);
            let response = self.send(Request::Create(register), request).await;
            if let Some(user_id) = response.user_id() {
                self.registers.push(OwnRegister { register, user_id, version: 1 });
                self.context.created().push((user_id, register));
                return;
            }
            if self.is_stopped() {
                return;
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    async fn update(&mut self) {
        let Some(own) = self.generator.choose(&mut self.registers) else { return };
        own.version += 1;
        let own = *own;
        let (request, http_request) = self.update_request(own);
        self.send(request, http_request).await;
        if let Some(operation) = self.operations.last().cloned() {
            self.give_up_if_uncertain(&operation);
        }
    }

    fn update_request(&self, own: OwnRegister) -> (Request, RequestBuilder) {
        let OwnRegister { register, user_id, version } = own;
        let form = [("user[name]", register.user_name(version)), ("_method", "put".to_owned())];
        let http_request = self.http.post(self.user_url(user_id)).form(&form);
        (Request::Update(register, version), http_request)
    }

    /// Writes a register no more if it is gone, or if an earlier write could still happen.
    fn give_up_if_uncertain(&mut self, operation: &Operation) {
        let is_over = operation.status == Some(404) || operation.outcome == Outcome::Unknown;
        if let (Request::Update(register, _), true) = (operation.request, is_over) {
            self.registers.retain(|own| own.register != register);
        }
    }

    async fn read(&mut self, register: Register, user_id: i64) {
        if self.generator.opens_edit_form() {
            let request = self.http.get(format!("{}/edit", self.user_url(user_id)));
            let response = self.send(Request::EditForm(register), request).await;
            self.record_observed(vec![(register, version_on_page(&response, register))]);
        } else {
            self.read_page(register, user_id).await;
        }
    }

    /// Reads a user's page. Returns the version that it shows; `None` without an answer.
    async fn read_page(&mut self, register: Register, user_id: i64) -> Option<Version> {
        let request = self.http.get(self.user_url(user_id));
        let response = self.send(Request::Read(register), request).await;
        let version = version_on_page(&response, register);
        self.record_observed(vec![(register, version)]);
        (response.outcome == Outcome::Ok).then_some(version)
    }

    fn user_url(&self, user_id: i64) -> String {
        format!("{}/users/{user_id}", self.context.url)
    }

    async fn list(&mut self) {
        let created = self.context.created().clone();
        let after = self.generator.choose(&created).map_or(0, |(user_id, _)| user_id - 1);
        let request = self.http.get(format!("{}/users?after={after}", self.context.url));
        let body = self.send(Request::List, request).await.body;
        let shown = html::users(&body);
        let is_last_page = shown.len() < usize::from(archipelago_app::paging::PAGE_SIZE);
        let last = if is_last_page { i64::MAX } else { shown.last().map_or(after, |(.., id)| *id) };
        let missing = created.iter().filter(|(user_id, register)| {
            after < *user_id
                && *user_id <= last
                && shown.iter().all(|(shown, ..)| shown != register)
        });
        let mut observed: HashMap<Register, Version> =
            missing.map(|(_, register)| (*register, 0)).collect();
        // A register with two users is found in the final state; here its newer version counts.
        for (register, version, _) in shown {
            let newest = observed.entry(register).or_default();
            *newest = version.max(*newest);
        }
        self.record_observed(observed.into_iter().collect());
    }

    /// Adds what was shown to the last operation, if that was answered.
    fn record_observed(&mut self, observed: Vec<(Register, Version)>) {
        if let Some(read) = self.operations.last_mut().filter(|read| read.outcome == Outcome::Ok) {
            read.observed = observed;
        }
    }

    /// Sends a request, takes the position that the answer gives, and records the operation.
    async fn send(&mut self, request: Request, http_request: RequestBuilder) -> Response {
        let (operation, response) = self.exchange(&self.region, request, http_request).await;
        if let (PositionCarrier::Header(carried), Some(position)) =
            (&mut self.carrier, &response.position)
        {
            *carried = Some(position.clone());
        }
        self.operations.push(operation);
        response
    }

    /// Sends a request. Cookies are those of all answers that have arrived by now.
    async fn exchange(
        &self,
        region: &str,
        request: Request,
        http_request: RequestBuilder,
    ) -> (Operation, Response) {
        let http_request = match &self.carrier {
            PositionCarrier::Header(Some(position)) => http_request.header(POSITION, position),
            PositionCarrier::Header(None) | PositionCarrier::Cookie => http_request,
        };
        let http_request = http_request.header("fly-prefer-region", region);
        let start = self.context.start.elapsed();
        let response = Response::receive(http_request, request).await;
        let operation = Operation {
            client: self.id,
            region: region.to_owned(),
            start,
            end: self.context.start.elapsed(),
            request,
            outcome: response.outcome,
            status: response.status,
            served_by: response.served_by.clone(),
            instance: response.instance.clone(),
            position: response.position.as_deref().and_then(Position::from_header),
            user_id: response.user_id(),
            observed: vec![],
        };
        (operation, response)
    }

    fn is_stopped(&self) -> bool {
        *self.context.stop.borrow()
    }
}

/// The version that a user's page shows of a register. The id may show another register: it was
/// given again after a promotion lost this one.
fn version_on_page(response: &Response, register: Register) -> Version {
    html::users(&response.body)
        .iter()
        .find(|(shown, ..)| *shown == register)
        .map_or(0, |(_, version, _)| *version)
}
