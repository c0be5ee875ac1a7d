//! Every failed request gets a page that says what is wrong and what to do, whoever refused it.

mod words;

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse};
use archipelago::actix::FLY_REPLAY;

use self::words::{Words, words};
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
    let is_page = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
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

fn page(request: &HttpRequest, status: StatusCode, words: &Words) -> Result<HttpResponse, Failure> {
    let visit = Visit::of(request);
    let Words { title, message, advice } = *words;
    visit.page(
        status,
        &ErrorPage { frame: visit.frame(), status: status.as_u16(), title, message, advice },
    )
}
