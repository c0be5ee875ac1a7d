//! The home page: what this site is, and where its databases are.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use archipelago::{RegionSet, Role};

use super::PageContext;
use crate::failure::Failure;
use crate::repos::Repos;
use crate::views::HomePage;

/// GET `/`
pub(crate) async fn home(context: PageContext) -> Result<HttpResponse, Failure> {
    let primary = Repos::PRIMARY.code;
    let replicas: Vec<_> = Repos::REGIONS
        .iter()
        .filter(|info| info.role == Role::Replica)
        .map(|info| info.code)
        .collect();
    let page = HomePage { layout: context.layout(), primary, replicas: &replicas };
    context.render(StatusCode::OK, &page)
}
