//! Before anything is measured: every contender does the same. Nobody wins by doing less.

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};

use crate::Failed;
use crate::child::Running;
use crate::contenders::Contender;
use crate::databases::Databases;

/// What a visitor sees of a contender.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    user: String,
    list: String,
    /// The page of a user who was just created, without the id.
    created: String,
}

/// Compares the pages of each contender to those of the hand-written program.
///
/// # Errors
/// When one differs.
pub async fn check(databases: &Databases, contenders: &[Contender]) -> Result<(), Failed> {
    let expected = seen(Contender::HandWritten, databases).await?;
    for contender in contenders {
        let seen = seen(*contender, databases).await?;
        if seen != expected {
            return Err(format!(
                "{} serves {seen:#?}, and hand-written {expected:#?}",
                contender.name()
            )
            .into());
        }
    }
    Ok(())
}

async fn seen(contender: Contender, databases: &Databases) -> Result<Seen, Failed> {
    let running = Running::start(&["serve", contender.name()], &databases.vars()?).await?;
    // A crate beside this one makes reqwest want TLS. A provider that is there already will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().redirect(Policy::none()).build()?;
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
    databases.settle().await?;
    let created = page(&client, &running.url(location))
        .await?
        .replace(location.trim_start_matches("/users/"), "{id}");
    running.stop().await?;
    Ok(Seen { user, list, created })
}

/// Its body, but for the line that says who served it in how many milliseconds.
async fn page(client: &Client, url: &str) -> Result<String, Failed> {
    let answer = client.get(url).send().await?.error_for_status()?;
    let kind = answer
        .headers()
        .get("content-type")
        .map(|kind| kind.to_str().unwrap_or_default().to_owned());
    if kind.as_deref() != Some("text/html; charset=utf-8") {
        return Err(format!("{url} is {kind:?} and no page").into());
    }
    let body = answer.text().await?;
    Ok(body
        .lines()
        .filter(|line| !line.contains("<p>Served by "))
        .map(|line| line.to_owned() + "\n")
        .collect())
}
