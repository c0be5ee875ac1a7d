//! The check before `load`: every contender serves the same pages, so none wins by doing less.

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};

use crate::Failed;
use crate::contenders::Contender;
use crate::databases::Databases;
use crate::http;

/// The pages of a contender.
#[derive(Debug, PartialEq, Eq)]
struct Pages {
    user: String,
    list: String,
    /// The page of a user that was just created, without its id.
    created: String,
}

/// Compares the pages of each contender with those of the hand-written program.
///
/// # Errors
/// When a page differs.
pub async fn check(databases: &Databases, contenders: &[Contender]) -> Result<(), Failed> {
    let expected = pages(Contender::HandWritten, databases).await?;
    for contender in contenders {
        let pages = pages(*contender, databases).await?;
        if pages != expected {
            return Err(format!(
                "{} serves {pages:#?}, and hand-written {expected:#?}",
                contender.name()
            )
            .into());
        }
    }
    Ok(())
}

async fn pages(contender: Contender, databases: &Databases) -> Result<Pages, Failed> {
    let running = contender.start(&databases.vars()?).await?;
    let client = http::client().redirect(Policy::none()).build()?;
    let (user, list) = (
        page(&client, &running.url("/users/7")).await?,
        page(&client, &running.url("/users")).await?,
    );
    let form = [("user[name]", "Zoë & Co."), ("user[age]", "36")];
    let answer = client.post(running.url("/users")).form(&form).send().await?;
    let location = answer.headers().get("location").and_then(|location| location.to_str().ok());
    let location =
        location.filter(|_| answer.status() == StatusCode::SEE_OTHER).ok_or_else(|| {
            format!("{} answers a form with {} and no location", contender.name(), answer.status())
        })?;
    databases.catch_up().await?;
    let created = page(&client, &running.url(location))
        .await?
        .replace(location.trim_start_matches("/users/"), "{id}");
    running.stop().await?;
    Ok(Pages { user, list, created })
}

/// The body of a page, without the line that says which database served it and how fast.
async fn page(client: &Client, url: &str) -> Result<String, Failed> {
    let answer = client.get(url).send().await?.error_for_status()?;
    let kind = answer
        .headers()
        .get("content-type")
        .map(|kind| kind.to_str().unwrap_or_default().to_owned());
    if kind.as_deref() != Some("text/html; charset=utf-8") {
        return Err(format!("{url} is {kind:?}, not an HTML page").into());
    }
    let body = answer.text().await?;
    Ok(body
        .lines()
        .filter(|line| !line.contains("<p>Served by "))
        .map(|line| line.to_owned() + "\n")
        .collect())
}
