//! The HTTP client `wrk`, with a script of `benches/wrk/` that prints its figures as JSON.

use std::io::ErrorKind;
use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use tokio::process::Command;

use crate::{Failed, browser};

/// The folder of the scripts.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/wrk");

/// The requests to send.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// The name of the script, without `.lua`.
    pub script: &'a str,
    /// How long to send.
    pub seconds: u64,
    /// Connections, each with one request at a time.
    pub connections: u32,
    /// How many users there are.
    pub users: u32,
    /// What the requests are like.
    pub visitors: Visitors,
}

/// What the requests of the visitors are like.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Visitors {
    /// Send the cookies of a visitor who has created a user.
    #[arg(long)]
    pub cookies: bool,
    /// Open a connection for each request.
    #[arg(long)]
    pub churn: bool,
}

/// The answers to a load. Latencies are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Answers {
    /// The number of answers.
    pub requests: f64,
    /// How long the load lasted.
    pub seconds: f64,
    /// The median latency.
    pub p50: f64,
    /// The 99th percentile of the latencies.
    pub p99: f64,
    /// The longest latency.
    pub max: f64,
    /// The number of answers with a status of 400 or more.
    pub refused: u64,
    /// How often a connection could not be opened, broke or timed out.
    pub broken: u64,
}

impl Visitors {
    /// The headers of each request to the program at `url`.
    ///
    /// # Errors
    /// When the program creates no user.
    pub async fn headers(self, url: &str) -> Result<Vec<String>, Failed> {
        let mut headers = Vec::new();
        if self.churn {
            headers.push("connection: close".to_owned());
        }
        if self.cookies
            && let Some(cookies) = browser::cookies(url).await?
        {
            headers.push(format!("cookie: {cookies}"));
        }
        Ok(headers)
    }
}

impl Load<'_> {
    /// Half of the time.
    #[must_use]
    pub fn half(self) -> Duration {
        Duration::from_secs(self.seconds) / 2
    }

    /// Sends requests with these headers to `url`, each connection its next one when the previous one is answered.
    ///
    /// # Errors
    /// When `wrk` is not installed or cannot connect.
    pub async fn run(self, url: &str, headers: &[String]) -> Result<Answers, Failed> {
        let Self { script, seconds, connections, users, .. } = self;
        // One thread of wrk outruns a program on the other cores; a second would take CPU time
        // from it.
        let output = Command::new("wrk")
            .args([
                "--threads=1",
                &format!("--connections={connections}"),
                &format!("--duration={seconds}"),
            ])
            .args(headers.iter().map(|header| format!("--header={header}")))
            .args([&format!("--script={script}.lua"), url, "--", &users.to_string()])
            .current_dir(SCRIPTS)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => {
                    "wrk, which sends the requests, is not installed: apt-get install wrk".into()
                }
                _ => Failed::from(error),
            })?;
        let printed = String::from_utf8_lossy(&output.stdout);
        answers(&printed).ok_or_else(|| {
            format!(
                "wrk printed no figures for {script}.lua:\n{printed}{}",
                String::from_utf8_lossy(&output.stderr)
            )
            .into()
        })
    }
}

/// The script prints its figures on the last line.
fn answers(printed: &str) -> Option<Answers> {
    serde_json::from_str(printed.lines().last()?).ok()
}

impl Answers {
    /// Answers per second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.requests / self.seconds
    }

    /// What was wrong with the answers, if any answer was wrong.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let Self { requests, refused, broken, .. } = self;
        (*refused > 0 || *broken > 0 || *requests < 1.0).then(|| {
            format!("of {requests} answers {refused} had a status of 400 or more, and {broken} times a connection failed")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
Running 1s test @ http://127.0.0.1:1
Requests/sec:  22593.10
{\"requests\":22594,\"seconds\":1.000041,\"p50\":2271.0,\"p99\":10198.0,\"max\":40000.0,\"refused\":0,\"broken\":0}
";

    #[test]
    fn the_line_of_the_script_is_parsed() {
        let answers = answers(PRINTED).unwrap();
        assert!((answers.per_second() - 22593.07).abs() < 0.01, "{answers:?}");
        assert_eq!((answers.p50, answers.p99, answers.max), (2271.0, 10198.0, 40000.0));
        assert_eq!(answers.problem(), None);
    }

    #[test]
    fn other_output_has_no_figures() {
        assert_eq!(answers("unable to connect to 127.0.0.1:1 Connection refused\n"), None);
        assert_eq!(answers(""), None);
    }

    #[test]
    fn any_wrong_answer_is_a_problem() {
        let wrong = answers(&PRINTED.replace("\"refused\":0", "\"refused\":7")).unwrap();
        let problem = wrong.problem().unwrap();
        assert_eq!(
            problem,
            "of 22594 answers 7 had a status of 400 or more, and 0 times a connection failed"
        );
        assert!(
            answers(&PRINTED.replace("22594", "0")).unwrap().problem().is_some(),
            "no answers are a problem"
        );
    }
}
