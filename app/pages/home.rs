//! The first page: what this is.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use archipelago::{RegionSet, Role};

use super::Visit;
use crate::failure::Failure;
use crate::repos::Repos;
use crate::views::HomePage;

/// GET `/`
pub(crate) async fn home(visit: Visit) -> Result<HttpResponse, Failure> {
    let primary = Repos::PRIMARY.code;
    let replicas: Vec<_> = Repos::REGIONS
        .iter()
        .filter(|info| info.role == Role::Replica)
        .map(|info| info.code)
        .collect();
    visit.page(StatusCode::OK, &HomePage { frame: visit.frame(), primary, replicas: &replicas })
}
