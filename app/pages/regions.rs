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
use crate::event_stream::{EVENT_STREAM, event};
use crate::failure::Failure;
use crate::overview::{ChangeStatus, Overview, RegionStatus, Update};
use crate::views::{OverviewPart, RegionsPage};

/// After this a viewer's updates end, and their browser asks again: one that reads no more is noticed.
const LONGEST_VIEW: Duration = Duration::from_mins(10);

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
    let part = part(&overview, overview.regions(), overview.changes());
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
        return HttpResponse::Ok().content_type(EVENT_STREAM).finish();
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
        .content_type(EVENT_STREAM)
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
    let (regions, changes) = (overview.regions(), overview.changes());
    let json = [
        event("regions", &serde_json::to_string(&regions).unwrap_or_default()),
        event("changes", &serde_json::to_string(&changes).unwrap_or_default()),
    ];
    let html = part(overview, regions, changes).render().unwrap_or_default();
    Update { json: json.concat().into(), html: event("part", &html).into() }
}

fn part(
    overview: &Overview,
    regions: Vec<RegionStatus>,
    changes: Vec<ChangeStatus>,
) -> OverviewPart {
    let (instance, spill) = (overview.instance(), overview.spill());
    OverviewPart::new(instance, regions, &overview.samples(), spill, changes)
}
