//! The regions as this instance sees them: for people at `/regions`, for programs at
//! `/regions.json`, `/regions/changes.json` and `/regions/events`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Bytes, Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use futures_util::stream::unfold;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{NO_STORE, PageContext};
use crate::failure::Failure;
use crate::overview::{Overview, Update};
use crate::views::{OverviewPart, RegionsPage};

/// After this a viewer's updates end, and their browser asks again: one that reads no more is noticed.
const LONGEST_VIEW: Duration = Duration::from_mins(10);

const EVENTS: &str = "text/event-stream";

/// nginx would otherwise hold updates back: <https://nginx.org/en/docs/http/ngx_http_proxy_module.html>.
const UNBUFFERED: (&str, &str) = ("x-accel-buffering", "no");

/// What a viewer asks for: `?format=html` is for the page.
#[derive(Deserialize)]
pub(crate) struct Viewer {
    #[serde(default)]
    format: Format,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Html,
}

/// GET `/regions`
pub(crate) async fn page(
    context: PageContext,
    overview: Data<Overview>,
) -> Result<HttpResponse, Failure> {
    let part = part(&overview);
    context.render(StatusCode::OK, &RegionsPage { layout: context.layout(), part })
}

/// GET `/regions.json`
pub(crate) async fn json(overview: Data<Overview>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, NO_STORE)).json(overview.regions())
}

/// GET `/regions/changes.json`
pub(crate) async fn changes(overview: Data<Overview>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, NO_STORE)).json(overview.changes())
}

/// GET `/regions/events`: server-sent events, the first at once and then one each second.
pub(crate) async fn events(
    request: HttpRequest,
    overview: Data<Overview>,
    viewer: Query<Viewer>,
) -> HttpResponse {
    let format = viewer.format;
    // Actix would keep the answer to HEAD open for as long as there are updates.
    if request.method() == Method::HEAD {
        return HttpResponse::Ok().content_type(EVENTS).finish();
    }
    let Some(viewing) = overview.view() else {
        let mut full = HttpResponse::ServiceUnavailable();
        return full.insert_header((RETRY_AFTER, "10")).finish();
    };
    let end = Instant::now() + LONGEST_VIEW;
    let first = Some(Arc::new(overview.update()));
    let updates = unfold((viewing, first), move |(mut viewing, first)| async move {
        let update = match first {
            Some(first) => first,
            None => timeout_at(end, viewing.next()).await.ok()??,
        };
        Some((Ok::<_, Infallible>(update.bytes(format)), (viewing, None)))
    });
    HttpResponse::Ok()
        .content_type(EVENTS)
        .insert_header((CACHE_CONTROL, NO_STORE))
        .insert_header(UNBUFFERED)
        .streaming(updates)
}

impl Update {
    fn bytes(&self, format: Format) -> Bytes {
        match format {
            Format::Json => self.json.clone(),
            Format::Html => self.html.clone(),
        }
    }
}

/// What a viewer sees now.
pub(crate) fn update(overview: &Overview) -> Update {
    let regions = serde_json::to_string(&overview.regions()).unwrap_or_default();
    let changes = serde_json::to_string(&overview.changes()).unwrap_or_default();
    let json = format!("event: regions\ndata: {regions}\n\nevent: changes\ndata: {changes}\n\n");
    let html = part(overview).render().unwrap_or_default();
    let lines: Vec<_> = html.lines().map(|line| format!("data: {line}\n")).collect();
    Update { json: json.into(), html: format!("event: part\n{}\n", lines.concat()).into() }
}

fn part(overview: &Overview) -> OverviewPart {
    let (regions, changes) = (overview.regions(), overview.changes());
    OverviewPart::new(overview.instance(), regions, &overview.samples(), overview.spill(), changes)
}
