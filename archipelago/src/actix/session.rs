//! The session of a request, kept in the Actix request for extractors and middleware.

use std::sync::{Arc, Once};

use actix_web::http::header::COOKIE;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest};

use crate::repo_set::RepoSet;
use crate::visitor::{POSITION, Session, Signer};

/// The session of `request`: which database served it, for a page or a metric.
#[must_use]
pub fn session_of(request: &HttpRequest) -> Session {
    if let Some(session) = request.extensions().get::<Session>() {
        return session.clone();
    }
    let session = Session::new();
    request.extensions_mut().insert(session.clone());
    session
}

/// The session of `request`, with the positions that its visitor brings.
pub(super) fn visitors_session(request: &HttpRequest) -> Session {
    static WARNING: Once = Once::new();
    // `answer_for` begins the session before the handler's arguments are made.
    if request.extensions().get::<Session>().is_none() {
        WARNING.call_once(|| {
            tracing::warn!(
                "visitors may miss what they wrote, as no answer carries their positions: add \
                 .wrap(from_fn(archipelago::actix::answer_for)) to the app"
            );
        });
    }
    let session = session_of(request);
    if let Some(signer) = request.app_data::<Data<Signer>>() {
        let headers = request.headers();
        signer.read_into(&session, headers.get_all(COOKIE), headers.get_all(POSITION));
    }
    session
}

/// The repos that [`configure`](super::configure) has registered.
pub(super) fn registered<R: RepoSet>(request: &HttpRequest) -> Result<Arc<R>, actix_web::Error> {
    let repos = request.app_data::<Data<R>>();
    repos.map(|repos| repos.clone().into_inner()).ok_or_else(|| {
        let advice =
            "no repos are registered; configure the app with archipelago::actix::configure";
        tracing::error!("{advice}");
        actix_web::error::ErrorInternalServerError(advice)
    })
}
