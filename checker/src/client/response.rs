//! Reads the app's answer to a request, and derives the outcome from it.

use reqwest::RequestBuilder;

use super::{POSITION, html};
use crate::history::Outcome;
use crate::workload::Request;

/// The parts of an answer that are recorded; empty but for the outcome where none came.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) outcome: Outcome,
    pub(super) status: Option<u16>,
    pub(super) location: Option<String>,
    pub(super) served_by: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) position: Option<String>,
    pub(super) body: String,
}

impl Response {
    pub(super) async fn receive(http_request: RequestBuilder, request: Request) -> Self {
        let unanswered = if request.is_write() { Outcome::Unknown } else { Outcome::Failed };
        let none = Self {
            outcome: unanswered,
            status: None,
            location: None,
            served_by: None,
            instance: None,
            position: None,
            body: String::new(),
        };
        let Ok(response) = http_request.send().await else { return none };
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let [location, served_by, position, edge] =
            ["location", "x-served-by", POSITION, "x-edge"].map(header);
        let edge_field = |name: &str| {
            let mut fields = edge.as_deref()?.split("; ");
            Some(fields.find_map(|field| field.strip_prefix(name))?.to_owned())
        };
        // A replayed write is answered by the instance that it was replayed to.
        let instance = edge_field("replayed=").or_else(|| edge_field("instance="));
        let status = response.status().as_u16();
        let Ok(body) = response.text().await else { return none };
        let outcome = match (request.is_write(), status) {
            (true, 303) | (false, 200 | 404) => Outcome::Ok,
            (true, 400..500) => Outcome::Failed,
            (true, _) if html::says_nothing_was_saved(&body) => Outcome::Failed,
            _ => unanswered,
        };
        Self { outcome, status: Some(status), location, served_by, instance, position, body }
    }

    /// The id of the user that a create made or an update wrote.
    pub(super) fn user_id(&self) -> Option<i64> {
        self.location.as_deref().and_then(html::user_id)
    }
}
