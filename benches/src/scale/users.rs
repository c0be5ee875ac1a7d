//! More users: the same pages of a short table and of a long one.

use std::fmt::Write;

use archipelago_lab::Distances;

use super::{CONNECTIONS, FEW_USERS, Options, WARM_UP};
use crate::Failed;
use crate::child::Running;
use crate::contenders::Contender;
use crate::databases::Databases;
use crate::figures::{Figures, comparison};
use crate::turn::turn;
use crate::wrk::Load;

/// Scripts, and what they ask for.
const QUESTIONS: [(&str, &str); 4] = [
    ("list", "GET /users, the first page of the list"),
    ("after", "GET /users?after={id}, a full page behind a user at random"),
    ("before", "GET /users?before={id}, a full page before a user at random"),
    ("user", "GET /users/{id}, one user at random"),
];

/// Few users and many in turn, in databases of their own.
///
/// # Errors
/// When something does not start, or an answer was wrong.
pub async fn measure(few: &Databases, options: &Options) -> Result<String, Failed> {
    eprintln!("making {} users", options.users);
    let many =
        Databases::start_with(Distances::default(), options.users, &options.shared_buffers).await?;
    let outcome = on([(few, FEW_USERS), (&many, options.users)], options).await;
    many.stop().await?;
    outcome
}

async fn on(sizes: [(&Databases, u32); 2], options: &Options) -> Result<String, Failed> {
    let Options { rounds, seconds, .. } = *options;
    let mut measured: [[Vec<Figures>; 2]; QUESTIONS.len()] = Default::default();
    for round in 0..rounds {
        for (found, (script, _)) in measured.iter_mut().zip(QUESTIONS) {
            for (found, (databases, users)) in found.iter_mut().zip(sizes) {
                eprintln!("round {} of {rounds}: {script}, {users} users", round + 1);
                let running =
                    Running::start(&["serve", Contender::Archipelago.name()], &databases.vars()?)
                        .await?;
                let load = Load { script, seconds, connections: CONNECTIONS, users };
                let turn = turn(running, databases, load, WARM_UP).await?;
                if let Some(trouble) = turn.trouble {
                    return Err(
                        format!("nothing is compared, because answers were wrong: {script}, {users} users: {trouble}").into()
                    );
                }
                found.push(turn.figures);
            }
        }
    }
    let mut text = format!(
        "This app. Medians of {rounds} rounds of {seconds} s, wrk with {CONNECTIONS} connections.\n"
    );
    for (found, (_, meaning)) in measured.iter().zip(QUESTIONS) {
        let rows = found.iter().zip(sizes).filter_map(|(found, (_, users))| {
            Some((format!("{users} users"), Figures::median(found)?))
        });
        write!(text, "{meaning}\n{}", comparison(&rows.collect::<Vec<_>>(), [(1, 0)]))?;
    }
    Ok(text)
}
