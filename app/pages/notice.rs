//! The flash message: what the last write did, shown once, on the page that the write redirects to.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, CookieBuilder, SameSite};

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

    /// The notice in the request's cookie.
    pub(super) fn from_request(request: &HttpRequest) -> Option<Self> {
        let cookie = request.cookie(NAME)?;
        Self::ALL.into_iter().find(|notice| notice.code() == cookie.value())
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
    pub(super) fn cookie(self) -> Cookie<'static> {
        cookie(self.code()).max_age(Duration::minutes(1)).finish()
    }

    /// Removes the notice once it has been shown.
    pub(super) fn removal_cookie() -> Cookie<'static> {
        cookie("").max_age(Duration::ZERO).finish()
    }

    fn code(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

fn cookie(value: &'static str) -> CookieBuilder<'static> {
    Cookie::build(NAME, value).path("/").http_only(true).same_site(SameSite::Lax)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_notice_comes_back_from_its_cookie() {
        for notice in Notice::ALL {
            let request = TestRequest::default().cookie(notice.cookie()).to_http_request();
            assert_eq!(Notice::from_request(&request), Some(notice));
        }
        let forged = TestRequest::default().cookie(Cookie::new(NAME, "<b>")).to_http_request();
        assert_eq!(Notice::from_request(&forged), None);
        assert_eq!(Notice::from_request(&TestRequest::default().to_http_request()), None);
    }
}
