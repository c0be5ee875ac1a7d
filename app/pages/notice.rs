//! The flash message: what the last write did, shown once, on the page that the write redirects to.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, CookieBuilder, SameSite};
use actix_web::http::header::{COOKIE, HeaderValue};

const NAME: &str = "notice";

/// What a write did. The cookie names only the variant: a forged one can show no other text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Created,
    Updated,
    Deleted,
}

impl Notice {
    const ALL: [Self; 3] = [Self::Created, Self::Updated, Self::Deleted];

    /// The notice in the request's cookie. Other cookies are not parsed: they may be broken.
    pub(super) fn from_request(request: &HttpRequest) -> Option<Self> {
        let lines = request.headers().get_all(COOKIE).map(HeaderValue::as_bytes);
        let mut pairs = lines.flat_map(|line| line.split(|byte| *byte == b';'));
        pairs.find_map(|pair| Self::in_pair(pair.trim_ascii()))
    }

    fn in_pair(pair: &[u8]) -> Option<Self> {
        let value = pair.strip_prefix(NAME.as_bytes())?.strip_prefix(b"=")?;
        Self::ALL.into_iter().find(|notice| notice.code().as_bytes() == value)
    }

    /// The message for the visitor.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Created => "User created successfully.",
            Self::Updated => "User updated successfully.",
            Self::Deleted => "User deleted successfully.",
        }
    }

    /// Carries the notice to the next page.
    pub(super) fn cookie(self, is_secure: bool) -> Cookie<'static> {
        cookie(self.code(), is_secure).max_age(Duration::minutes(1)).finish()
    }

    /// Removes the notice once it has been shown.
    pub(super) fn removal_cookie(is_secure: bool) -> Cookie<'static> {
        cookie("", is_secure).max_age(Duration::ZERO).finish()
    }

    fn code(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

fn cookie(value: &'static str, is_secure: bool) -> CookieBuilder<'static> {
    let cookie = Cookie::build(NAME, value).path("/").http_only(true).same_site(SameSite::Lax);
    cookie.secure(is_secure)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_notice_comes_back_from_its_cookie() {
        for notice in Notice::ALL {
            let request = TestRequest::default().cookie(notice.cookie(false)).to_http_request();
            assert_eq!(Notice::from_request(&request), Some(notice));
        }
        assert_eq!(Notice::from_request(&TestRequest::default().to_http_request()), None);
    }

    #[test]
    fn a_forged_notice_and_other_cookies_are_passed_over() {
        let created = Some(Notice::Created);
        for (cookies, expected) in [
            (&b"notice=<b>"[..], None),
            (b"my_notice=created", None),
            (b"notice", None),
            (b"a=\xff; notice=created", created),
            (b"notice=\xff;notice=created", created),
            (b"=;;a=\"1; 2\"; notice=created ;b", created),
        ] {
            let request = TestRequest::default()
                .insert_header((COOKIE, HeaderValue::from_bytes(cookies).unwrap()))
                .to_http_request();
            assert_eq!(Notice::from_request(&request), expected, "{}", cookies.escape_ascii());
        }
    }
}
