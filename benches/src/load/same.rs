//! The check before `load`: every contender serves the same pages, so none wins by doing less.

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};

use crate::Failed;
use crate::contenders::Contender;
use crate::databases::Databases;
use crate::http;

/// The pages of a contender.
struct Pages {
    user: String,
    list: String,
    /// The page of a user that was just created, without its id.
    created: String,
}

impl Pages {
    /// The first line that is another one in `expected`.
    fn differing_line(&self, expected: &Self) -> Option<&str> {
        let pages = [
            (&self.user, &expected.user),
            (&self.list, &expected.list),
            (&self.created, &expected.created),
        ];
        let (page, expected) = pages.into_iter().find(|(page, expected)| page != expected)?;
        let is_other = |(line, expected): &(&str, &str)| line != expected;
        let differing = page.lines().zip(expected.lines()).find(is_other);
        Some(differing.map_or("a line more or less", |(line, _)| line))
    }
}

/// Compares the pages of each contender with those of the hand-written program.
///
/// # Errors
/// When a page differs.
pub async fn check(databases: &Databases, contenders: &[Contender]) -> Result<(), Failed> {
    let expected = pages(Contender::HandWritten, databases).await?;
    for contender in contenders {
        let pages = pages(*contender, databases).await?;
        if let Some(line) = pages.differing_line(&expected) {
            let name = contender.name();
            return Err(format!("{name} serves another page than hand-written: {line}").into());
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
    let created = page(&client, &running.url(location)).await?;
    let created = created.replace(location.trim_start_matches("/users/"), "{id}");
    // Another contender's user is of another second.
    let dated = |line: &&str| line.contains(" GMT</dd>");
    let created = created.split_inclusive('\n').filter(|line| !dated(line)).collect();
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
