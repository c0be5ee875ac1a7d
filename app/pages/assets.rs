//! The stylesheet, the script and the icon, embedded in the program.

use actix_web::HttpResponse;
use actix_web::http::header::{CacheControl, CacheDirective};

/// GET `/static/style.css`
pub(crate) async fn stylesheet() -> HttpResponse {
    asset("text/css; charset=utf-8", include_str!("../static/style.css"))
}

/// GET `/static/regions.js`
pub(crate) async fn regions_script() -> HttpResponse {
    asset("text/javascript; charset=utf-8", include_str!("../static/regions.js"))
}

/// GET `/static/favicon.svg`
pub(crate) async fn icon() -> HttpResponse {
    asset("image/svg+xml", include_str!("../static/favicon.svg"))
}

fn asset(content_type: &'static str, body: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header(CacheControl(vec![CacheDirective::Public, CacheDirective::MaxAge(300)]))
        .body(body)
}
