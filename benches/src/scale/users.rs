//! More users: the same pages from a table with few users and from one with many.

use std::fmt::Write;

use archipelago_lab::Distances;

use super::{CONNECTIONS, FEW_USERS, Options, WARM_UP};
use crate::Failed;
use crate::contenders::Contender;
use crate::databases::Databases;
use crate::turn::{Costs, comparison, turn};
use crate::wrk::{Load, Visitors};

/// The wrk scripts, and what they request.
const SCRIPTS: [(&str, &str); 4] = [
    ("list", "GET /users, the first page of the list"),
    ("after", "GET /users?after={id}, a full page after a user at random"),
    ("before", "GET /users?before={id}, a full page before a user at random"),
    ("user", "GET /users/{id}, one user at random"),
];

/// Measures few users and many in turn, each in databases of their own.
///
/// # Errors
/// When a program or server does not start, or an answer was wrong.
pub async fn measure(few: &Databases, options: &Options) -> Result<String, Failed> {
    eprintln!("creating {} users", options.users);
    let many =
        Databases::start_with(Distances::default(), options.users, &options.shared_buffers).await?;
    let outcome = compare([(few, FEW_USERS), (&many, options.users)], options).await;
    many.stop().await?;
    outcome
}

async fn compare(sizes: [(&Databases, u32); 2], options: &Options) -> Result<String, Failed> {
    let Options { rounds, seconds, .. } = *options;
    let mut measured: [[Vec<Costs>; 2]; SCRIPTS.len()] = Default::default();
    for round in 0..rounds {
        for (sizes_of, (script, _)) in measured.iter_mut().zip(SCRIPTS) {
            for (turns, (databases, users)) in sizes_of.iter_mut().zip(sizes) {
                eprintln!("round {} of {rounds}: {script}, {users} users", round + 1);
                let running = Contender::Archipelago.start(&databases.vars()?).await?;
                let load = Load {
                    script,
                    seconds,
                    connections: CONNECTIONS,
                    users,
                    visitors: Visitors::default(),
                };
                let turn = turn(running, databases, load, WARM_UP).await?;
                turns.push(turn.costs_if_right(&format!("{script}, {users} users"))?);
            }
        }
    }
    let mut text = format!(
        "The pages of this app. Medians of {rounds} rounds of {seconds} s, wrk with {CONNECTIONS} connections.\n"
    );
    for (sizes_of, (_, meaning)) in measured.iter().zip(SCRIPTS) {
        let rows = sizes_of.iter().zip(sizes).filter_map(|(turns, (_, users))| {
            Some((format!("{users} users"), Costs::median(turns)?))
        });
        write!(text, "{meaning}\n{}", comparison(&rows.collect::<Vec<_>>(), [(1, 0)]))?;
    }
    Ok(text)
}
