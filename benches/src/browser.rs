//! A visitor with a browser: it keeps one connection and its cookies.

use clap::ValueEnum;
use reqwest::header::SET_COOKIE;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};

use crate::{Failed, http};

/// How many users there are at the start.
pub const USERS: u32 = 1000;

/// The form that creates a user.
const FORM: [(&str, &str); 2] = [("user[name]", "Ada Lovelace"), ("user[age]", "36")];

/// What visitors request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Page {
    /// The page of one user.
    User,
    /// The first page of the list.
    List,
    /// A form that creates a user.
    Create,
}

impl Page {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::List => "list",
            Self::Create => "create",
        }
    }
}

/// The browser of one visitor.
pub struct Browser {
    client: Client,
    users: String,
}

impl Browser {
    /// A browser at the program of this URL.
    ///
    /// # Errors
    /// When there is no HTTP client.
    pub fn new(address: &str) -> Result<Self, Failed> {
        // Another connection, without a request, would be closed with a 408.
        let client = http::client().cookie_store(true).redirect(Policy::none());
        let client = client.pool_max_idle_per_host(1).build()?;
        Ok(Self { client, users: format!("{address}/users") })
    }

    /// Requests a page; `number` tells which user.
    ///
    /// # Errors
    /// When there is no answer, or a wrong one.
    pub async fn request(&self, page: Page, number: u32) -> Result<(), Failed> {
        let (client, users) = (&self.client, &self.users);
        let (request, expected) = match page {
            Page::User => (client.get(format!("{users}/{}", number % USERS + 1)), StatusCode::OK),
            Page::List => (client.get(users), StatusCode::OK),
            Page::Create => (client.post(users).form(&FORM), StatusCode::SEE_OTHER),
        };
        let answer = request.send().await.map_err(reqwest::Error::without_url)?;
        if answer.status() != expected {
            return Err(format!("{} is {}", page.name(), answer.status()).into());
        }
        answer.bytes().await.map_err(reqwest::Error::without_url)?;
        Ok(())
    }
}

/// The cookies of a visitor who has created a user at the program of this URL, and has seen the notice of
/// that: it comes once. None where the program gives none.
///
/// # Errors
/// When it creates no user.
pub async fn cookies(address: &str) -> Result<Option<String>, Failed> {
    let client = http::client().redirect(Policy::none()).build()?;
    let answer = client.post(format!("{address}/users")).form(&FORM).send().await?;
    if answer.status() != StatusCode::SEE_OTHER {
        return Err(format!("a form is answered with {}", answer.status()).into());
    }
    let given = answer.headers().get_all(SET_COOKIE).iter();
    let pairs = given.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
    let pairs = pairs.filter(|cookie| !cookie.starts_with("notice="));
    let cookies = pairs.collect::<Vec<_>>().join("; ");
    Ok((!cookies.is_empty()).then_some(cookies))
}
