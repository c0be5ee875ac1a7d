//! For the load balancer: is the process alive, and can it serve reads?

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::repos::Repos;

/// GET `/healthz`: the process answers. Asks no database: a restart would not mend one.
pub(crate) async fn alive() -> HttpResponse {
    HttpResponse::Ok().body("alive\n")
}

/// GET `/readyz`: this instance's reads have a database that answers.
pub(crate) async fn ready(repos: Data<Repos>) -> HttpResponse {
    let replica = repos.replica();
    match replica.ping().await {
        Ok(()) => HttpResponse::Ok().body("ready\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            let region = replica.served_by().region;
            HttpResponse::ServiceUnavailable().body(format!("not ready: the database of {region} does not answer\n"))
        }
    }
}
