//! The flash message: what the last write did, told once on the page it redirects to.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};

const NAME: &str = "notice";

/// What a write did. The cookie holds only which, so that there is nothing in it to forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A user was created.
    Created,
    /// A user was updated.
    Updated,
    /// A user was deleted.
    Deleted,
}

impl Notice {
    const ALL: [Self; 3] = [Self::Created, Self::Updated, Self::Deleted];

    /// The notice that `request` brings.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Option<Self> {
        let cookie = request.cookie(NAME)?;
        Self::ALL.into_iter().find(|notice| notice.code() == cookie.value())
    }

    /// What the visitor reads.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Created => "User created successfully.",
            Self::Updated => "User updated successfully.",
            Self::Deleted => "User deleted successfully.",
        }
    }

    /// Carries the notice to the next page.
    #[must_use]
    pub fn cookie(self) -> Cookie<'static> {
        bare(self.code()).max_age(Duration::minutes(1)).finish()
    }

    /// Takes it away once it was shown.
    #[must_use]
    pub fn removal() -> Cookie<'static> {
        bare("").max_age(Duration::ZERO).finish()
    }

    fn code(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

fn bare(value: &'static str) -> actix_web::cookie::CookieBuilder<'static> {
    Cookie::build(NAME, value).path("/").http_only(true).same_site(SameSite::Lax)
}
