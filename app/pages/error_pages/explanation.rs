//! The texts of the error pages, chosen by the failure or, without one, by the status.

use actix_web::http::StatusCode;
use archipelago::{Error, NotServed};

use crate::failure::Failure;

/// What the visitor reads. It never quotes the database: its own words go to the log only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Explanation {
    pub(super) title: &'static str,
    pub(super) message: &'static str,
    pub(super) advice: &'static str,
}

/// A title, a message and an advice.
type Texts = (&'static str, &'static str, &'static str);

impl Explanation {
    /// The texts for an answer with this status. `failure` is none if Actix refused the request
    /// itself.
    pub(super) fn new(status: StatusCode, failure: Option<&Failure>, is_write: bool) -> Self {
        let (title, message, advice) = match (failure, status) {
            (Some(Failure::Database(error)), StatusCode::SERVICE_UNAVAILABLE) if is_write => {
                failed_write(error)
            }
            (Some(Failure::Database(error)), StatusCode::SERVICE_UNAVAILABLE) => failed_read(error),
            (Some(Failure::NoSuchUser), _) => (
                "There is no such user",
                "No user has this number.",
                "The user may have been deleted. Look in the list of users.",
            ),
            (Some(Failure::BadRequest(message)), _) => {
                (INVALID, *message, "Go back, or start at the list of users.")
            }
            (Some(Failure::CrossSite), _) => (
                "Refused",
                "Another site asked your browser to change something here.",
                "If that was your intention, make the change on this site's own pages.",
            ),
            (_, status) => by_status(status),
        };
        Self { title, message, advice }
    }
}

const INVALID: &str = "The request is not valid";

const RETRY: &str = "Try again in a few seconds.";

fn by_status(status: StatusCode) -> Texts {
    match status {
        StatusCode::NOT_FOUND => (
            "There is no such page",
            "No page has this address.",
            "Check the address, or start at the list of users.",
        ),
        StatusCode::METHOD_NOT_ALLOWED => (
            "The method is not allowed",
            "This address does not accept this kind of request.",
            "Start at the list of users.",
        ),
        StatusCode::SERVICE_UNAVAILABLE => {
            ("Not available", "This instance cannot answer the request at the moment.", RETRY)
        }
        StatusCode::REQUEST_TIMEOUT => (
            "Too slow",
            "The form did not arrive in time, and nothing was saved.",
            "Send it again.",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => (
            "Too large",
            "The form is larger than this site accepts.",
            "Shorten it and send it again.",
        ),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (
            "Not a form",
            "The request does not have the format of a form.",
            "Send it as application/x-www-form-urlencoded.",
        ),
        status if status.is_client_error() => {
            (INVALID, "The request could not be read.", "Go back and try again.")
        }
        _ => (
            "Something went wrong",
            "The error is on our side, and it is in our log.",
            "Try again. If it happens again, tell the operators of this site.",
        ),
    }
}

/// Whether the statement took too long, or met another one.
fn is_in_the_way(error: &Error) -> bool {
    matches!(error.code(), Some("57014" | "55P03" | "40001" | "40P01"))
}

/// A write that failed and may succeed later.
fn failed_write(error: &Error) -> Texts {
    match error {
        error if error.is_uncertain() => (
            "The database did not confirm",
            "Your change was sent, but no answer came.",
            "Check whether it was made before you send it again.",
        ),
        Error::Busy { .. } => (
            "The primary is too busy",
            "Nothing was changed: the database that takes the writes is overloaded.",
            RETRY,
        ),
        error if is_in_the_way(error) => (
            "The database stopped the change",
            "Nothing was changed: it took too long, or stood in the way of another change.",
            RETRY,
        ),
        _ => (
            "No primary can be reached",
            "Nothing was changed: the database that takes the writes is down, cut off, or being replaced. You can still read.",
            RETRY,
        ),
    }
}

/// A read that failed and may succeed later.
fn failed_read(error: &Error) -> Texts {
    let tried = match error {
        Error::NotServed { tried } => tried.as_slice(),
        _ => &[],
    };
    let is_any = |is_it: fn(&NotServed) -> bool| tried.iter().any(|tried| is_it(&tried.reason));
    match error {
        _ if is_any(|reason| matches!(reason, NotServed::Spilled)) => (
            "Too many requests at once",
            "The databases near you are down or too far behind, and the primary serves as many of their readers as it can take.",
            RETRY,
        ),
        _ if is_any(|reason| matches!(reason, NotServed::Lagging | NotServed::NotReplayed)) => (
            "No database can serve this",
            "No database that can be reached is up to date and has what you wrote or saw before.",
            "Nothing was lost. Try again in a few seconds.",
        ),
        Error::Busy { .. } => {
            ("The database is too busy", "It is overloaded at the moment.", RETRY)
        }
        Error::Query(_) => (
            "The database stopped this",
            "It took too long, or stood in the way of something else.",
            RETRY,
        ),
        _ => (
            "No database answers",
            "No database can be reached, or none answered in time.",
            "Nothing was lost. Try again in a few seconds.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_web::ResponseError;
    use archipelago::{DownReason, Tried};
    use diesel::result::DatabaseErrorKind::{ReadOnlyTransaction, SerializationFailure};
    use diesel::result::Error::DatabaseError;

    use super::*;

    #[test]
    fn each_failure_has_a_page_of_its_own() {
        let (region, waited) = ("ord", Duration::from_secs(1));
        let database = |error| Failure::Database(error);
        let not_served =
            |reason| database(Error::NotServed { tried: vec![Tried::new(region, reason)] });
        let unreachable = || Error::Unreachable {
            region,
            reason: DownReason::Unreachable { detail: "10.0.0.7: refused".to_owned() },
        };
        let refused = |kind| Error::from(DatabaseError(kind, Box::new("no".to_owned())));
        for (failure, is_write, title) in [
            (Failure::NoSuchUser, false, "There is no such user"),
            (Failure::BadRequest("say what"), true, "The request is not valid"),
            (Failure::CrossSite, true, "Refused"),
            (database(unreachable()), false, "No database answers"),
            (database(unreachable()), true, "No primary can be reached"),
            (database(Error::NotPrimary { region }), true, "No primary can be reached"),
            (database(Error::Timeout { region, waited }), false, "No database answers"),
            (database(Error::Timeout { region, waited }), true, "The database did not confirm"),
            (database(Error::Busy { region, waited }), false, "The database is too busy"),
            (database(Error::Busy { region, waited }), true, "The primary is too busy"),
            (not_served(NotServed::Spilled), false, "Too many requests at once"),
            (not_served(NotServed::Lagging), false, "No database can serve this"),
            (not_served(NotServed::Silent { waited }), false, "No database answers"),
            (
                database(diesel::result::Error::RollbackTransaction.into()),
                false,
                "Something went wrong",
            ),
            (database(refused(ReadOnlyTransaction)), true, "No primary can be reached"),
            (database(refused(SerializationFailure)), true, "The database stopped the change"),
            (Failure::Render(askama::Error::Fmt), false, "Something went wrong"),
        ] {
            let explanation = Explanation::new(failure.status_code(), Some(&failure), is_write);
            assert_eq!(explanation.title, title, "{failure}, is_write={is_write}");
            assert!(!explanation.message.contains("10.0.0.7"), "{explanation:?}");
        }
    }

    #[test]
    fn each_status_without_a_failure_has_a_page() {
        for (status, title) in [
            (400, "The request is not valid"),
            (404, "There is no such page"),
            (405, "The method is not allowed"),
            (413, "Too large"),
            (415, "Not a form"),
            (418, "The request is not valid"),
            (500, "Something went wrong"),
            (503, "Not available"),
        ] {
            let status = StatusCode::from_u16(status).expect("a valid status");
            assert_eq!(Explanation::new(status, None, false).title, title, "{status}");
        }
    }
}
