//! Health checks for the load balancer: is the process alive, and can it serve reads?

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::web::Data;
use archipelago::RepoSet;

use crate::reads;
use crate::repos::Repos;

/// GET `/healthz`: the process is alive. It queries no database, as a restart would not repair one.
pub(crate) async fn alive(repos: Data<Repos>) -> HttpResponse {
    if repos.cluster().monitor_has_ended() {
        return answer(
            StatusCode::SERVICE_UNAVAILABLE,
            "the thread that watches the databases has ended: restart this instance\n",
        );
    }
    answer(StatusCode::OK, "alive\n")
}

/// GET `/readyz`: whether any database, near or far, serves this instance's reads.
pub(crate) async fn ready(repos: Data<Repos>) -> HttpResponse {
    match reads::ping(repos.replica().or_stale()).await {
        Ok(()) => answer(StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            answer(StatusCode::SERVICE_UNAVAILABLE, "not ready: no database can serve a read\n")
        }
    }
}

fn answer(status: StatusCode, text: &'static str) -> HttpResponse {
    HttpResponse::build(status).content_type(ContentType::plaintext()).body(text)
}
