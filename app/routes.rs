//! Every URL, in one table.

use std::fmt;

use actix_web::guard::{Any, Get, Head};
use actix_web::web::{self, ServiceConfig};
use actix_web::{Route, guard::Guard};
use askama::filters::HtmlSafe;

use crate::pages::{health, home, regions, style, users};
use crate::paging::Cursor;

/// The first page.
pub const HOME: &str = "/";
/// The list of users.
pub const USERS: &str = "/users";
/// The form of a new user.
pub const NEW_USER: &str = "/users/new";
/// The regions, for people.
pub const REGIONS: &str = "/regions";
/// Is the process alive?
pub const HEALTHZ: &str = "/healthz";
/// Can this instance serve reads?
pub const READYZ: &str = "/readyz";
/// The stylesheet.
pub const STYLE: &str = "/static/style.css";
/// The icon.
pub const ICON: &str = "/static/favicon.svg";

/// The table. A method that is not in it is answered with 405, a URL with 404.
pub fn routes(app: &mut ServiceConfig) {
    app.service(web::resource(HOME).route(get().to(home::home)))
        .service(
            web::resource(USERS).route(get().to(users::index)).route(web::post().to(users::create)),
        )
        .service(web::resource(NEW_USER).route(get().to(users::new)))
        .service(
            web::resource("/users/{id}")
                .route(get().to(users::show))
                .route(web::put().to(users::update))
                .route(web::patch().to(users::update))
                .route(web::delete().to(users::delete))
                .route(web::post().to(users::by_method)),
        )
        .service(web::resource("/users/{id}/edit").route(get().to(users::edit)))
        .service(web::resource(REGIONS).route(get().to(regions::page)))
        .service(web::resource("/regions.json").route(get().to(regions::json)))
        .service(web::resource(HEALTHZ).route(get().to(health::alive)))
        .service(web::resource(READYZ).route(get().to(health::ready)))
        .service(web::resource(STYLE).route(get().to(style::stylesheet)))
        .service(web::resource(ICON).route(get().to(style::icon)));
}

/// The page of one user.
#[must_use]
pub fn user(id: i64) -> UserPath {
    UserPath { id, rest: "" }
}

/// The form of one user.
#[must_use]
pub fn edit_user(id: i64) -> UserPath {
    UserPath { id, rest: "/edit" }
}

/// Where one user is. The list shows hundreds of these: they are written into the page as they are, with nothing to escape.
#[derive(Clone, Copy, Debug)]
pub struct UserPath {
    id: i64,
    rest: &'static str,
}

impl fmt::Display for UserPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{USERS}/{}{}", self.id, self.rest)
    }
}

impl HtmlSafe for UserPath {}

/// One page of the list.
#[must_use]
pub fn users_page(cursor: Cursor) -> String {
    match cursor {
        Cursor { after: Some(id), .. } => format!("{USERS}?after={id}"),
        Cursor { before: Some(id), .. } => format!("{USERS}?before={id}"),
        Cursor { .. } => USERS.to_owned(),
    }
}

/// A page answers HEAD as it does GET, without the body.
fn get() -> Route {
    web::route().guard(is_get())
}

fn is_get() -> impl Guard {
    Any(Get()).or(Head())
}
