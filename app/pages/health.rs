//! For the load balancer: is the process alive, and can it serve reads?

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::reads;
use crate::repos::Repos;

/// GET `/healthz`: the process answers. Asks no database: a restart would not mend one.
pub(crate) async fn alive() -> HttpResponse {
    HttpResponse::Ok().body("alive\n")
}

/// GET `/readyz`: some database answers this instance's reads, near or far.
pub(crate) async fn ready(repos: Data<Repos>) -> HttpResponse {
    match reads::anything(repos.replica().or_stale()).await {
        Ok(()) => HttpResponse::Ok().body("ready\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            HttpResponse::ServiceUnavailable().body("not ready: no database can serve a read\n")
        }
    }
}
