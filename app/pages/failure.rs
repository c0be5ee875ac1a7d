//! Every failed request gets a page that says what is wrong and what to do, whoever refused it.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse};
use archipelago::Error;
use archipelago::actix::FLY_REPLAY;

use super::Visit;
use crate::failure::Failure;
use crate::routes;
use crate::views::ErrorPage;

/// Middleware for [`from_fn`](actix_web::middleware::from_fn): replaces the bare text of an error by a page.
///
/// # Errors
/// What the handler's are.
pub async fn error_pages(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let response = next.call(request).await?.map_into_boxed_body();
    let status = response.status();
    let is_page = response.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    let is_probe = matches!(response.request().path(), routes::HEALTHZ | routes::READYZ);
    let is_replay = response.headers().contains_key(FLY_REPLAY);
    if is_page || is_probe || is_replay || !(status.is_client_error() || status.is_server_error()) {
        return Ok(response);
    }
    if let Some(error) = response.response().error().filter(|_| status.is_server_error()) {
        tracing::error!(%error, status = status.as_u16(), "a request failed");
    }
    let failure = response.response().error().and_then(|error| error.as_error::<Failure>());
    let words = words(status, failure, !response.request().method().is_safe());
    let page = page(response.request(), status, &words).map(|mut page| {
        retry_after(&mut page, failure.and_then(Failure::retry_after));
        page
    });
    let (request, plain) = response.into_parts();
    Ok(match page {
        Ok(mut page) => {
            // What the plain answer said in headers stays true: `allow`, cookies.
            for (name, value) in plain.headers().iter().filter(|(name, _)| **name != CONTENT_TYPE) {
                page.headers_mut().append(name.clone(), value.clone());
            }
            ServiceResponse::new(request, page)
        }
        Err(error) => {
            tracing::error!(%error, "the error page cannot be rendered");
            ServiceResponse::new(request, plain)
        }
    })
}

/// Tells when another attempt may be worth it.
pub(super) fn retry_after(page: &mut HttpResponse, time: Option<Duration>) {
    if let Some(time) = time {
        page.headers_mut().insert(RETRY_AFTER, HeaderValue::from(time.as_secs().max(1)));
    }
}

struct Words {
    title: &'static str,
    message: &'static str,
    advice: &'static str,
}

/// What the visitor reads. The database's own words go to the log only.
fn words(status: StatusCode, failure: Option<&Failure>, is_write: bool) -> Words {
    let (title, message, advice) = match (failure, status) {
        (Some(Failure::NoSuchUser), _) => {
            ("There is no such user", "Nobody has this number.", "The user may have been deleted. Look in the list of users.")
        }
        (Some(Failure::Nonsense(message)), _) => {
            ("That makes no sense here", *message, "Go back, or begin at the list of users.")
        }
        (Some(Failure::CrossSite), _) => (
            "Refused",
            "Another site asked your browser to change something here.",
            "If it was you, do it on this site's own pages.",
        ),
        (_, StatusCode::NOT_FOUND) => {
            ("There is no such page", "Nothing lives at this address.", "Check the address, or begin at the list of users.")
        }
        (_, StatusCode::METHOD_NOT_ALLOWED) => {
            ("Not in this way", "This address does not answer to that method.", "Begin at the list of users.")
        }
        (Some(Failure::Database(error)), StatusCode::SERVICE_UNAVAILABLE) if is_write => unsaved(error),
        (Some(Failure::Database(error)), StatusCode::SERVICE_UNAVAILABLE) => unread(error),
        (_, StatusCode::SERVICE_UNAVAILABLE) => {
            ("Not at the moment", "This instance cannot do that right now.", "Try again in a few seconds.")
        }
        (_, StatusCode::PAYLOAD_TOO_LARGE) => {
            ("Too large", "The form holds more than it can take.", "Shorten it and send it again.")
        }
        (_, StatusCode::UNSUPPORTED_MEDIA_TYPE) => {
            ("Not a form", "What was sent is not in the form that a form has.", "Send it as application/x-www-form-urlencoded.")
        }
        (_, status) if status.is_client_error() => {
            ("That makes no sense here", "The request could not be read.", "Go back and try it again.")
        }
        _ => (
            "Something broke",
            "The mistake is on this side, and it is in the log.",
            "Try again; if it stays, tell the people who run this.",
        ),
    };
    Words { title, message, advice }
}

type Said = (&'static str, &'static str, &'static str);

/// Of a write that may succeed later.
fn unsaved(error: &Error) -> Said {
    match error {
        error if error.is_uncertain() => (
            "The database did not confirm",
            "Your change was sent, and no answer came.",
            "Look whether it was done before you send it again.",
        ),
        Error::Busy { .. } => (
            "The primary is too busy",
            "Nothing was changed: the database that takes the writes has more to do than it can.",
            "Try again in a few seconds.",
        ),
        _ => (
            "No primary can be reached",
            "Nothing was changed: the database that takes the writes is down, cut off, or being replaced. Reading goes on.",
            "Try again in a few seconds.",
        ),
    }
}

/// Of a read that may succeed later.
fn unread(error: &Error) -> Said {
    match error {
        Error::Spilled { .. } => (
            "Too many at once",
            "The databases near you are down or too far behind, and the primary has as many of their readers as it can take.",
            "Try again in a few seconds.",
        ),
        Error::NotFresh { .. } => (
            "No database is up to date",
            "Those that can be reached do not have yet what you wrote or saw before, or are too far behind.",
            "Nothing was lost. Try again in a few seconds.",
        ),
        Error::Busy { .. } => {
            ("The database is too busy", "It has more to do than it can at the moment.", "Try again in a few seconds.")
        }
        _ => (
            "No database answers",
            "None can be reached, or none answered in time.",
            "Nothing was lost. Try again in a few seconds.",
        ),
    }
}

fn page(request: &HttpRequest, status: StatusCode, words: &Words) -> Result<HttpResponse, Failure> {
    let visit = Visit::of(request);
    let Words { title, message, advice } = *words;
    visit.page(status, &ErrorPage { frame: visit.frame(), status: status.as_u16(), title, message, advice })
}
