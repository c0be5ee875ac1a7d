//! The pages as plain data, each with the template that renders it. Handlers fill them in.

use std::time::Duration;

use actix_web::http::header::HttpDate;
use archipelago::{Reason, ServedBy};
use askama::Template;
use uuid::Uuid;

pub(crate) use self::regions::{OverviewPart, RegionsPage};
use crate::urls;
use crate::users::{DatedUser, User};

mod map;
mod region_words;
mod regions;
mod sparkline;
#[cfg(test)]
mod tests;

/// `/`: what this site is, in one paragraph.
#[derive(Clone, Copy, Debug, Template)]
#[template(path = "home.html")]
pub(crate) struct HomePage<'a> {
    pub(crate) layout: Layout<'a>,
    /// The primary's region.
    pub(crate) primary: &'a str,
    /// The regions with a replica.
    pub(crate) replicas: &'a [&'a str],
}

/// `/users`: one page of the list.
#[derive(Clone, Debug, Template)]
#[template(path = "index.html")]
pub struct IndexPage<'a> {
    pub layout: Layout<'a>,
    /// The users of this page, in order.
    pub users: &'a [User],
    /// The URL of the page before this one.
    pub previous: Option<String>,
    /// The URL of the page after this one.
    pub next: Option<String>,
}

impl IndexPage<'_> {
    fn is_whole_list(&self) -> bool {
        self.previous.is_none() && self.next.is_none()
    }
}

/// `/users/{id}`: one user.
#[derive(Clone, Copy, Debug, Template)]
#[template(path = "show.html")]
pub struct ShowPage<'a> {
    pub layout: Layout<'a>,
    pub user: &'a User,
    pub inserted_at: HttpDate,
    pub updated_at: HttpDate,
}

impl<'a> ShowPage<'a> {
    #[must_use]
    pub fn new(layout: Layout<'a>, user: &'a DatedUser) -> Self {
        let DatedUser { user, inserted_at, updated_at } = user;
        let [inserted_at, updated_at] = [*inserted_at, *updated_at].map(HttpDate::from);
        Self { layout, user, inserted_at, updated_at }
    }
}

/// `/users/new` and `/users/{id}/edit`, also when they come back because they could not be saved.
#[derive(Clone, Copy, Debug, Template)]
#[template(path = "form.html")]
pub struct FormPage<'a> {
    pub layout: Layout<'a>,
    pub target: FormTarget,
    /// The name as it was typed.
    pub name: &'a str,
    /// The age as it was typed. A browser shows an empty field if this is no number.
    pub age: &'a str,
    /// What is wrong with the name, a whole sentence.
    pub name_error: Option<&'a str>,
    /// What is wrong with the age, a whole sentence.
    pub age_error: Option<&'a str>,
    /// Why valid fields were not saved, a whole sentence: for example, no primary can be reached.
    pub problem: Option<&'a str>,
}

impl FormPage<'_> {
    fn has_failed(&self) -> bool {
        self.name_error.is_some() || self.age_error.is_some() || self.problem.is_some()
    }
}

/// What went wrong, and what to do about it.
#[derive(Clone, Copy, Debug, Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage<'a> {
    pub(crate) layout: Layout<'a>,
    /// The HTTP status.
    pub(crate) status: u16,
    /// The heading and the page's title, such as "There is no such user".
    pub(crate) title: &'a str,
    /// What happened, a whole sentence.
    pub(crate) message: &'a str,
    /// What the visitor can do about it, a whole sentence.
    pub(crate) advice: &'a str,
}

/// What `layout.html` shows around every page.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Layout<'a> {
    /// What the visitor's last write did, such as "User created successfully."
    pub flash: Option<&'a str>,
    /// The database that served the page; none if the page needed none.
    pub database: Option<DatabaseTiming>,
    /// The region of this instance; empty if it has none.
    pub instance: &'a str,
}

impl Layout<'_> {
    /// A warning at the top of a page that may be older than `max_lag`.
    fn stale_warning(&self) -> Option<String> {
        let stale = self.database?.served_by.stale?;
        Some(format!(
            "This page may be {} old: no database that is up to date can be reached.",
            human_time(stale)
        ))
    }
}

/// Which database served a page, why that one, and how long it took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DatabaseTiming {
    /// The database, as in the header `x-served-by`.
    pub served_by: ServedBy,
    /// How long the page waited for it.
    pub milliseconds: f64,
}

impl DatabaseTiming {
    /// Why this database served the page, as a sentence.
    fn explanation(&self) -> &'static str {
        match self.served_by.reason {
            Reason::Local => "This region's own database answered.",
            Reason::Nearest => "The nearest replica answered.",
            Reason::Fresher => {
                "A nearer database had not caught up with what you have written or seen."
            }
            Reason::Failover => "A nearer database is down, or too far behind.",
            Reason::Primary => "The primary answered.",
            _ => "This database answered.",
        }
    }
}

/// The user that a form saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormTarget {
    /// A user to create.
    New {
        /// Sent with the form, so that it creates one user even if it arrives more than once.
        key: Uuid,
    },
    /// The user with this id.
    Edit { id: i64 },
}

impl FormTarget {
    fn heading(self) -> String {
        match self {
            Self::New { .. } => "New user".to_owned(),
            Self::Edit { id } => format!("Edit user {id}"),
        }
    }

    fn button(self) -> &'static str {
        match self {
            Self::New { .. } => "Create user",
            Self::Edit { .. } => "Save changes",
        }
    }

    /// The URL that the form is posted to. `GET` shows there what Cancel leads to: the list, or the
    /// user.
    fn url(self) -> String {
        match self {
            Self::New { .. } => urls::USERS.to_owned(),
            Self::Edit { id } => urls::user(id).to_string(),
        }
    }
}

/// A time as people say it: "0.4 seconds", "12 seconds", "5 minutes", "3 hours".
pub(crate) fn human_time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..2 => format!("{:.1} seconds", time.as_secs_f64()),
        2..120 => format!("{seconds} seconds"),
        120..7200 => format!("{} minutes", seconds / 60),
        _ => format!("{} hours", seconds / 3600),
    }
}
