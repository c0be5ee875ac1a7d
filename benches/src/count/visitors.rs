//! Visitors with browsers: each keeps a connection and its cookies.

use futures_util::future::try_join_all;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};

use super::Page;
use crate::{Failed, http};

/// Visitors of one program.
pub struct Visitors {
    clients: Vec<Client>,
    address: String,
}

impl Visitors {
    /// As many visitors of the program at this URL.
    ///
    /// # Errors
    /// When there is no HTTP client.
    pub fn new(count: u32, address: String) -> Result<Self, Failed> {
        // One connection each: another, without a request, would be closed with a 408.
        let client = || {
            let client = http::client().cookie_store(true).redirect(Policy::none());
            client.pool_max_idle_per_host(1).build()
        };
        let clients = (0..count).map(|_| client()).collect::<Result<_, _>>()?;
        Ok(Self { clients, address })
    }

    /// Requests a page as many times, together, each visitor one after the other.
    ///
    /// # Errors
    /// When an answer is wrong.
    pub async fn request(&self, page: Page, times: u32) -> Result<(), Failed> {
        let count = u32::try_from(self.clients.len())?;
        let visits = self.clients.iter().zip(0..).map(async |(client, visitor)| {
            for id in (visitor..times).step_by(count as usize) {
                self.request_once(client, page, id).await?;
            }
            Ok::<_, Failed>(())
        });
        try_join_all(visits).await?;
        Ok(())
    }

    async fn request_once(&self, client: &Client, page: Page, number: u32) -> Result<(), Failed> {
        let users = format!("{}/users", self.address);
        let (request, expected) = match page {
            Page::User => {
                (client.get(format!("{users}/{}", number % super::USERS + 1)), StatusCode::OK)
            }
            Page::List => (client.get(users), StatusCode::OK),
            Page::Create => {
                let form = [("user[name]", "Ada Lovelace"), ("user[age]", "36")];
                (client.post(users).form(&form), StatusCode::SEE_OTHER)
            }
        };
        let answer = request.send().await?;
        if answer.status() != expected {
            return Err(format!("{} is {}", page.name(), answer.status()).into());
        }
        answer.bytes().await?;
        Ok(())
    }
}
