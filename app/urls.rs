//! The URLs that pages link and redirect to. `routes` maps each of them to its handler.

use std::fmt;

use askama::filters::HtmlSafe;
use serde::de::{Deserialize, Deserializer, Error};

use crate::paging::Cursor;

/// The home page.
pub(crate) const HOME: &str = "/";
/// The list of users.
pub(crate) const USERS: &str = "/users";
/// The form of a new user.
pub(crate) const NEW_USER: &str = "/users/new";
/// The regions, for people.
pub(crate) const REGIONS: &str = "/regions";
/// The regions, for programs.
pub(crate) const REGIONS_JSON: &str = "/regions.json";
/// The last elections and changes of state, for programs.
pub(crate) const CHANGES_JSON: &str = "/regions/changes.json";
/// Both, each second.
pub(crate) const REGIONS_EVENTS: &str = "/regions/events";
/// Whether the process is alive.
pub(crate) const HEALTHZ: &str = "/healthz";
/// Whether this instance can serve reads.
pub(crate) const READYZ: &str = "/readyz";
/// The stylesheet.
pub(crate) const STYLESHEET: &str = "/static/style.css";
/// The script of the page of the regions.
pub(crate) const REGIONS_SCRIPT: &str = "/static/regions.js";
/// The icon.
pub(crate) const ICON: &str = "/static/favicon.svg";

/// The user that a URL names, in the one way in which pages write it: `/users/01` names none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UserId(pub(crate) i64);

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let id = text.parse::<i64>().ok().filter(|id| id.to_string() == text);
        id.map(Self).ok_or_else(|| D::Error::custom("no user has this number"))
    }
}

/// The page of one user.
#[must_use]
pub fn user(id: i64) -> UserPath {
    UserPath { id, suffix: "" }
}

/// The form of one user.
#[must_use]
pub(crate) fn edit_user(id: i64) -> UserPath {
    UserPath { id, suffix: "/edit" }
}

/// The path of a user. It needs no HTML escaping, which saves time on a list with hundreds of
/// links.
#[derive(Clone, Copy, Debug)]
pub struct UserPath {
    id: i64,
    suffix: &'static str,
}

impl fmt::Display for UserPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{USERS}/{}{}", self.id, self.suffix)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_users_and_pages() {
        assert_eq!(user(7).to_string(), "/users/7");
        assert_eq!(edit_user(7).to_string(), "/users/7/edit");
        for (cursor, expected) in [
            (Cursor::default(), "/users"),
            (Cursor { after: Some(50), before: None }, "/users?after=50"),
            (Cursor { after: None, before: Some(51) }, "/users?before=51"),
        ] {
            assert_eq!(users_page(cursor), expected);
        }
    }
}
