//! The pages: what each one shows, and the template that lays it out. Plain data; who fetched it is not their business.

use std::time::Duration;

use archipelago::{Reason, ServedBy};
use askama::Template;
use uuid::Uuid;

use crate::routes;
use crate::users::User;

#[cfg(test)]
mod tests;

/// `/`: what this is, in one paragraph.
#[derive(Clone, Copy, Debug, Template)]
#[template(path = "home.html")]
pub struct HomePage<'a> {
    /// The frame around it.
    pub frame: Frame<'a>,
    /// The primary's region.
    pub primary: &'a str,
    /// The regions with a replica.
    pub replicas: &'a [&'a str],
}

/// `/users`: one page of the list.
#[derive(Clone, Debug, Template)]
#[template(path = "index.html")]
pub struct IndexPage<'a> {
    /// The frame around it.
    pub frame: Frame<'a>,
    /// The users of this page, in order.
    pub users: &'a [User],
    /// Where the page before this one is, if there is one.
    pub previous: Option<String>,
    /// Where the page after this one is, if there is one.
    pub next: Option<String>,
}

impl IndexPage<'_> {
    /// Whether this is the whole list.
    fn is_alone(&self) -> bool {
        self.previous.is_none() && self.next.is_none()
    }
}

/// `/users/{id}`: one user.
#[derive(Clone, Copy, Debug, Template)]
#[template(path = "show.html")]
pub struct ShowPage<'a> {
    /// The frame around it.
    pub frame: Frame<'a>,
    /// The user.
    pub user: &'a User,
}

/// `/users/new`, `/users/{id}/edit`, and either again where what was sent could not be saved.
#[derive(Clone, Copy, Debug, Template)]
#[template(path = "form.html")]
pub struct FormPage<'a> {
    /// The frame around it.
    pub frame: Frame<'a>,
    /// Whom the form saves.
    pub target: FormTarget,
    /// The name as it was typed.
    pub name: &'a str,
    /// The age as it was typed. A browser shows an empty field where this is no number.
    pub age: &'a str,
    /// What is wrong with the name, a whole sentence.
    pub name_error: Option<&'a str>,
    /// What is wrong with the age, a whole sentence.
    pub age_error: Option<&'a str>,
    /// Why nothing was saved although the fields are right: the primary cannot be reached, for one.
    pub problem: Option<&'a str>,
}

impl FormPage<'_> {
    fn failed(&self) -> bool {
        self.name_error.is_some() || self.age_error.is_some() || self.problem.is_some()
    }
}

/// `/regions`: every database, as this instance sees it.
#[derive(Clone, Copy, Debug, Template)]
#[template(path = "regions.html")]
pub struct RegionsPage<'a> {
    /// The frame around it.
    pub frame: Frame<'a>,
    /// The databases, in the order to show them.
    pub rows: &'a [RegionRow],
}

/// What went wrong, and what to do now.
#[derive(Clone, Copy, Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorPage<'a> {
    /// The frame around it.
    pub frame: Frame<'a>,
    /// The HTTP status.
    pub status: u16,
    /// The heading and the page's title, such as "There is no such user".
    pub title: &'a str,
    /// What happened, a whole sentence.
    pub message: &'a str,
    /// What the visitor can do about it, a whole sentence.
    pub advice: &'a str,
}

/// What every page's frame shows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Frame<'a> {
    /// What the visitor's last click did, such as "User created."
    pub flash: Option<&'a str>,
    /// Who served the page; `None` where no database was asked.
    pub served: Option<Served>,
    /// The region that this instance runs in; empty where it runs in none.
    pub instance: &'a str,
}

impl Frame<'_> {
    /// What a page says above all else that may be older than its route allows as a rule.
    fn age(&self) -> Option<String> {
        let stale = self.served?.by.stale?;
        Some(format!(
            "This page may be {} old: no database that is up to date can be reached.",
            time(stale)
        ))
    }
}

/// Which database served a page, and why that one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Served {
    /// The database, as in the header `x-served-by`.
    pub by: ServedBy,
    /// How long the page waited for it.
    pub milliseconds: f64,
}

impl Served {
    /// The reason as a sentence.
    fn explanation(&self) -> &'static str {
        match self.by.reason {
            Reason::Local => "This region's own database answered.",
            Reason::Nearest => "The nearest replica answered.",
            Reason::Fresher => {
                "A nearer database had not caught up with what you have written or seen."
            }
            Reason::Failover => "A nearer database is down, or too far behind.",
            Reason::Primary => "The primary answered.",
        }
    }
}

/// Whom the form saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormTarget {
    /// A user who is not there yet.
    New {
        /// The form's own, so that it creates one user however often it arrives.
        key: Uuid,
    },
    /// The user with this key.
    Edit {
        /// The key.
        id: i64,
    },
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

    /// Where the form is posted to.
    fn action(self) -> String {
        match self {
            Self::New { .. } => routes::USERS.to_owned(),
            Self::Edit { id } => routes::user(id).to_string(),
        }
    }

    /// Where Cancel leads: the page that the form was opened from. By the shape of the URLs that is where it is posted to.
    fn back(self) -> String {
        self.action()
    }
}

/// A database, as `/regions` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionRow {
    /// The region's code.
    pub region: &'static str,
    /// Where that is, such as "Tokyo, Japan".
    pub place: &'static str,
    /// The generated type, such as `RepoNrt`.
    pub repo: &'static str,
    /// `primary` or `replica`.
    pub role: &'static str,
    /// 1, and more after each promotion; `None` where it was not asked.
    pub timeline: Option<u32>,
    /// How it is, such as "up, answers in 1.2 ms" or "down for 5 seconds: it cannot be reached".
    pub state: String,
    /// Whether that state is a good one; `None` where nobody looked.
    pub ok: Option<bool>,
    /// How far behind the primary, at the most; `None` where nobody can tell, and for the primary.
    pub lag: Option<String>,
    /// How many connections this instance holds open to it.
    pub connections: u32,
    /// `POOL_SIZE`; for the primary, for reading and for writing together.
    pub size: u32,
    /// Whether this instance's reads go to it first.
    pub first_for_reads: bool,
    /// Whether it takes the writes.
    pub leads: bool,
}

/// A time as people say it: "0.4 seconds", "12 seconds", "5 minutes", "3 hours".
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..2 => format!("{:.1} seconds", time.as_secs_f64()),
        2..120 => format!("{seconds} seconds"),
        120..7200 => format!("{} minutes", seconds / 60),
        _ => format!("{} hours", seconds / 3600),
    }
}
