//! The signed cookie in which a visitor carries the position of their last write to their next request.

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, CookieJar, Key, SameSite};
use actix_web::dev::ServiceResponse;
use actix_web::{HttpRequest, web::Data};

use crate::Position;

const NAME: &str = "archipelago_position";

/// A replica that is ten minutes behind serves nobody.
const LIFETIME: Duration = Duration::minutes(10);

/// The position that the visitor carries. A forged or broken one counts as none.
pub(super) fn carried(request: &HttpRequest) -> Option<Position> {
    let key = request.app_data::<Data<Key>>()?;
    let mut jar = CookieJar::new();
    jar.add_original(request.cookie(NAME)?);
    jar.signed(key).get(NAME)?.value().parse().ok()
}

pub(super) fn give<B>(response: &mut ServiceResponse<B>, position: Position) {
    let request = response.request();
    let Some(key) = request.app_data::<Data<Key>>() else { return };
    let cookie = Cookie::build(NAME, position.to_string())
        .path("/")
        .max_age(LIFETIME)
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(request.connection_info().scheme() == "https")
        .finish();
    let mut jar = CookieJar::new();
    jar.signed_mut(key).add(cookie);
    for cookie in jar.delta() {
        // Only a cookie that is no header value is refused, and a position in base64 is one.
        let _ = response.response_mut().add_cookie(cookie);
    }
}
