//! Error pages: every failed request gets a page that says what is wrong and what to do, whether a
//! handler, a middleware or Actix itself refused it.

mod explanation;

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use actix_web::middleware::Next;
use archipelago::actix::FLY_REPLAY;

use self::explanation::Explanation;
use super::PageContext;
use crate::failure::Failure;
use crate::urls;
use crate::views::ErrorPage;

/// Middleware for [`from_fn`](actix_web::middleware::from_fn): replaces the plain text of an error
/// by a page.
pub(crate) async fn error_pages(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let response = next.call(request).await?.map_into_boxed_body();
    if !needs_page(&response) {
        return Ok(response);
    }
    let status = response.status();
    let error = response.response().error();
    if let Some(error) = error.filter(|_| status.is_server_error()) {
        tracing::error!(%error, status = status.as_u16(), "a request failed");
    }
    let failure = error.and_then(|error| error.as_error::<Failure>());
    let is_write = !response.request().method().is_safe();
    let explanation = Explanation::new(status, failure, is_write);
    let page = render(&response, explanation).map(|mut page| {
        insert_retry_after(&mut page, failure.and_then(Failure::retry_after));
        page
    });
    let (request, plain) = response.into_parts();
    Ok(match page {
        Ok(mut page) => {
            // The plain answer's headers hold for the page too: `allow`, cookies.
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

/// Whether this is an error in plain text that a visitor will see. A health check is read by a load
/// balancer, and a replay by Fly's proxy.
fn needs_page(response: &ServiceResponse) -> bool {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let is_page = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    let is_health_check = matches!(response.request().path(), urls::HEALTHZ | urls::READYZ);
    let is_replay = response.headers().contains_key(FLY_REPLAY);
    is_error && !is_page && !is_health_check && !is_replay
}

/// Says when another attempt may succeed.
pub(super) fn insert_retry_after(page: &mut HttpResponse, time: Option<Duration>) {
    if let Some(time) = time {
        page.headers_mut().insert(RETRY_AFTER, HeaderValue::from(time.as_secs().max(1)));
    }
}

fn render(response: &ServiceResponse, explanation: Explanation) -> Result<HttpResponse, Failure> {
    let context = PageContext::new(response.request());
    let Explanation { title, message, advice } = explanation;
    let (layout, status) = (context.layout(), response.status().as_u16());
    context.render(response.status(), &ErrorPage { layout, status, title, message, advice })
}
