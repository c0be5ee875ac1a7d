//! The table of URLs: each with its methods, and the handler in `pages` that answers.

use actix_web::Route;
use actix_web::guard::{Any, Get, Guard, Head};
use actix_web::web::{ServiceConfig, delete, patch, post, put, resource, route};

use crate::pages::{assets, health, home, regions, users};
use crate::urls;

/// Registers every route. An unknown URL is answered with 404, another method with 405.
pub(crate) fn routes(app: &mut ServiceConfig) {
    app.service(resource(urls::HOME).route(get().to(home::home)))
        .service(
            resource(urls::USERS).route(get().to(users::index)).route(post().to(users::create)),
        )
        .service(resource(urls::NEW_USER).route(get().to(users::new)))
        .service(
            resource("/users/{id}")
                .route(get().to(users::show))
                .route(put().to(users::update))
                .route(patch().to(users::update))
                .route(delete().to(users::delete))
                .route(post().to(users::update_or_delete)),
        )
        .service(resource("/users/{id}/edit").route(get().to(users::edit)))
        .service(resource(urls::REGIONS).route(get().to(regions::page)))
        .service(resource(urls::REGIONS_JSON).route(get().to(regions::json)))
        .service(resource(urls::CHANGES_JSON).route(get().to(regions::changes)))
        .service(resource(urls::REGIONS_EVENTS).route(get().to(regions::events)))
        .service(resource(urls::HEALTHZ).route(get().to(health::alive)))
        .service(resource(urls::READYZ).route(get().to(health::ready)))
        .service(resource(urls::STYLESHEET).route(get().to(assets::stylesheet)))
        .service(resource(urls::REGIONS_SCRIPT).route(get().to(assets::regions_script)))
        .service(resource(urls::ICON).route(get().to(assets::icon)));
}

/// GET, and HEAD: the same answer without its body.
fn get() -> Route {
    route().guard(is_get_or_head())
}

fn is_get_or_head() -> impl Guard {
    Any(Get()).or(Head())
}
