//! What came back, as far as it is written down.

use reqwest::RequestBuilder;

use super::POSITION;
use super::html as page;
use crate::history::operation::{Action, Outcome};

/// The parts of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) status: Option<u16>,
    pub(super) location: Option<String>,
    pub(super) served_by: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) position: Option<String>,
    pub(super) body: String,
}

impl Answer {
    pub(super) async fn of(request: RequestBuilder, action: Action) -> Self {
        let none = |outcome| Self {
            outcome,
            status: None,
            location: None,
            served_by: None,
            instance: None,
            position: None,
            body: String::new(),
        };
        let unknown = if action.is_write() { Outcome::Uncertain } else { Outcome::Refused };
        let Ok(response) = request.send().await else { return none(unknown) };
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let [location, served_by, position, edge] =
            ["location", "x-served-by", POSITION, "x-edge"].map(header);
        // Whoever a write was handed on to, else whoever took the request.
        let field = |name: &str| {
            Some(
                edge.as_deref()?.split("; ").find_map(|field| field.strip_prefix(name))?.to_owned(),
            )
        };
        let instance = field("replayed=").or_else(|| field("instance="));
        let status = response.status();
        let Ok(body) = response.text().await else { return none(unknown) };
        let outcome = match (action.is_write(), status.as_u16()) {
            (true, 303) | (false, 200 | 404) => Outcome::Done,
            (true, 400..500) => Outcome::Refused,
            (true, _) if page::says_nothing_was_saved(&body) => Outcome::Refused,
            _ => unknown,
        };
        Self {
            outcome,
            status: Some(status.as_u16()),
            location,
            served_by,
            instance,
            position,
            body,
        }
    }
}
