//! The id of a request, by which its lines are found in the logs of all instances that it passes.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// On a request: the id that Fly's proxy gives it. A replayed request keeps it.
/// <https://fly.io/docs/networking/request-headers/>
const FLY_REQUEST_ID: HeaderName = HeaderName::from_static("fly-request-id");

/// On a request: the id that another proxy gives it. On each answer: the id that the log has.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken over. Fly's ids have about 30 characters.
const MAX_LENGTH: usize = 64;

/// The id that a proxy has given the request, or a new one.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = |name: HeaderName| headers.get(name).filter(|id| is_plain(id.as_bytes())).cloned();
    given(FLY_REQUEST_ID).or_else(|| given(X_REQUEST_ID)).unwrap_or_else(new_id)
}

/// Whether this can stand in a log as it is.
fn is_plain(id: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    (1..=MAX_LENGTH).contains(&id.len()) && id.iter().all(is_plain)
}

fn new_id() -> HeaderValue {
    let mut text = Uuid::encode_buffer();
    let text = Uuid::new_v4().hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(headers: &[(HeaderName, &str)]) -> String {
        let value = |value: &&str| HeaderValue::from_bytes(value.as_bytes()).unwrap();
        let headers = headers.iter().map(|(name, text)| (name.clone(), value(text))).collect();
        request_id(&headers).to_str().unwrap().to_owned()
    }

    #[test]
    fn the_id_of_fly_s_proxy_comes_first() {
        let (fly, other) = ((FLY_REQUEST_ID, "01JD-ord"), (X_REQUEST_ID, "a.b_c-9"));
        assert_eq!(id_of(&[other.clone(), fly.clone()]), fly.1);
        assert_eq!(id_of(&[other.clone(), (FLY_REQUEST_ID, "no token")]), other.1);
        assert_eq!(id_of(std::slice::from_ref(&other)), other.1);
        let longest = "x".repeat(MAX_LENGTH);
        assert_eq!(id_of(&[(X_REQUEST_ID, &longest)]), longest);
    }

    #[test]
    fn an_id_that_is_no_short_token_is_replaced() {
        let long = "x".repeat(MAX_LENGTH + 1);
        for given in ["", "a b", "a\"b", "a=b", "é", "a\tb", "{}", &long] {
            let ids = [0; 2].map(|_| id_of(&[(X_REQUEST_ID, given)]));
            for id in &ids {
                assert!(Uuid::parse_str(id).is_ok_and(|id| !id.is_nil()), "{given:?}: {id}");
            }
            assert_ne!(ids[0], ids[1], "each request has its own");
        }
    }
}
