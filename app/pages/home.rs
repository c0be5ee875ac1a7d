//! The first page: what this is.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use archipelago::{RepoSet, Role};

use super::Visit;
use crate::failure::Failure;
use crate::repos::Repos;
use crate::views::HomePage;

/// GET `/`
pub(crate) async fn home(visit: Visit) -> Result<HttpResponse, Failure> {
    let codes = |role| Repos::REGIONS.iter().filter(move |info| info.role == role).map(|info| info.code);
    let primary = Repos::PRIMARY.code;
    let replicas: Vec<_> = codes(Role::Replica).collect();
    visit.page(StatusCode::OK, &HomePage { frame: visit.frame(), primary, replicas: &replicas })
}
