//! What is wrong and what to do, in words for a visitor.

use actix_web::http::StatusCode;
use archipelago::Error;

use crate::failure::Failure;

/// What the visitor reads.
pub(super) struct Words {
    pub(super) title: &'static str,
    pub(super) message: &'static str,
    pub(super) advice: &'static str,
}

/// The database's own words go to the log only.
pub(super) fn words(status: StatusCode, failure: Option<&Failure>, is_write: bool) -> Words {
    let (title, message, advice) = match (failure, status) {
        (Some(Failure::NoSuchUser), _) => (
            "There is no such user",
            "Nobody has this number.",
            "The user may have been deleted. Look in the list of users.",
        ),
        (Some(Failure::Nonsense(message)), _) => {
            ("That makes no sense here", *message, "Go back, or begin at the list of users.")
        }
        (Some(Failure::CrossSite), _) => (
            "Refused",
            "Another site asked your browser to change something here.",
            "If it was you, do it on this site's own pages.",
        ),
        (_, StatusCode::NOT_FOUND) => (
            "There is no such page",
            "Nothing lives at this address.",
            "Check the address, or begin at the list of users.",
        ),
        (_, StatusCode::METHOD_NOT_ALLOWED) => (
            "Not in this way",
            "This address does not answer to that method.",
            "Begin at the list of users.",
        ),
        (Some(Failure::Database(error)), StatusCode::SERVICE_UNAVAILABLE) if is_write => {
            unsaved(error)
        }
        (Some(Failure::Database(error)), StatusCode::SERVICE_UNAVAILABLE) => unread(error),
        (_, StatusCode::SERVICE_UNAVAILABLE) => (
            "Not at the moment",
            "This instance cannot do that right now.",
            "Try again in a few seconds.",
        ),
        (_, StatusCode::PAYLOAD_TOO_LARGE) => {
            ("Too large", "The form holds more than it can take.", "Shorten it and send it again.")
        }
        (_, StatusCode::UNSUPPORTED_MEDIA_TYPE) => (
            "Not a form",
            "What was sent is not in the form that a form has.",
            "Send it as application/x-www-form-urlencoded.",
        ),
        (_, status) if status.is_client_error() => (
            "That makes no sense here",
            "The request could not be read.",
            "Go back and try it again.",
        ),
        _ => (
            "Something broke",
            "The mistake is on this side, and it is in the log.",
            "Try again; if it stays, tell the people who run this.",
        ),
    };
    Words { title, message, advice }
}

type Said = (&'static str, &'static str, &'static str);

/// Of a write that may succeed later.
fn unsaved(error: &Error) -> Said {
    match error {
        error if error.is_uncertain() => (
            "The database did not confirm",
            "Your change was sent, and no answer came.",
            "Look whether it was done before you send it again.",
        ),
        Error::Busy { .. } => (
            "The primary is too busy",
            "Nothing was changed: the database that takes the writes has more to do than it can.",
            "Try again in a few seconds.",
        ),
        _ => (
            "No primary can be reached",
            "Nothing was changed: the database that takes the writes is down, cut off, or being replaced. Reading goes on.",
            "Try again in a few seconds.",
        ),
    }
}

/// Of a read that may succeed later.
fn unread(error: &Error) -> Said {
    match error {
        Error::Spilled { .. } => (
            "Too many at once",
            "The databases near you are down or too far behind, and the primary has as many of their readers as it can take.",
            "Try again in a few seconds.",
        ),
        Error::NotFresh { .. } => (
            "No database can serve this",
            "None can be reached that is up to date, and has what you wrote or saw before.",
            "Nothing was lost. Try again in a few seconds.",
        ),
        Error::Busy { .. } => (
            "The database is too busy",
            "It has more to do than it can at the moment.",
            "Try again in a few seconds.",
        ),
        _ => (
            "No database answers",
            "None can be reached, or none answered in time.",
            "Nothing was lost. Try again in a few seconds.",
        ),
    }
}
