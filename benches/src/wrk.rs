//! The client: `wrk`, with a script of `benches/wrk/` that prints what it found as JSON.

use std::io::ErrorKind;
use std::process::Stdio;

use serde::Deserialize;
use tokio::process::Command;

use crate::Failed;

/// The scripts.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/wrk");

/// How the requests come.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// The script, without its ending.
    pub script: &'a str,
    /// For how long.
    pub seconds: u64,
    /// Connections, each with one request at a time.
    pub connections: u32,
    /// How many users there are.
    pub users: u32,
}

/// What came back. Latencies are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Answers {
    /// Answers.
    pub requests: f64,
    /// For how long.
    pub seconds: f64,
    /// The median latency.
    pub p50: f64,
    /// The latency that one of a hundred requests exceeded.
    pub p99: f64,
    /// The longest latency.
    pub max: f64,
    /// Answers with a status of 400 or more.
    pub refused: u64,
    /// Connections that were not opened, broke or were silent.
    pub broken: u64,
}

impl Load<'_> {
    /// Sends the requests to `url`, as many as are answered.
    ///
    /// # Errors
    /// When there is no `wrk`, or it cannot connect.
    pub async fn run(self, url: &str) -> Result<Answers, Failed> {
        let Self { script, seconds, connections, users } = self;
        // One thread of wrk is quicker than a program on the other cores, and leaves them more than two would.
        let output = Command::new("wrk")
            .args([
                "--threads=1",
                &format!("--connections={connections}"),
                &format!("--duration={seconds}"),
            ])
            .args([&format!("--script={script}.lua"), url, "--", &users.to_string()])
            .current_dir(FOLDER)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => {
                    "there is no wrk, which sends the requests; install it: apt-get install wrk"
                        .into()
                }
                _ => Failed::from(error),
            })?;
        let printed = String::from_utf8_lossy(&output.stdout);
        answers(&printed).ok_or_else(|| {
            format!(
                "wrk gave no figures for {script}.lua:\n{printed}{}",
                String::from_utf8_lossy(&output.stderr)
            )
            .into()
        })
    }
}

/// The script's line is the last one.
fn answers(printed: &str) -> Option<Answers> {
    serde_json::from_str(printed.lines().last()?).ok()
}

impl Answers {
    /// Answers per second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.requests / self.seconds
    }

    /// What was wrong with them, if anything was.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
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
    fn the_scripts_line_is_read() {
        let answers = answers(PRINTED).unwrap();
        assert!((answers.per_second() - 22593.07).abs() < 0.01, "{answers:?}");
        assert_eq!((answers.p50, answers.p99, answers.max), (2271.0, 10198.0, 40000.0));
        assert_eq!(answers.trouble(), None);
    }

    #[test]
    fn what_is_no_line_of_the_scripts_gives_nothing() {
        assert_eq!(answers("unable to connect to 127.0.0.1:1 Connection refused\n"), None);
        assert_eq!(answers(""), None);
    }

    #[test]
    fn any_wrong_answer_is_trouble() {
        let wrong = answers(&PRINTED.replace("\"refused\":0", "\"refused\":7")).unwrap();
        let said = wrong.trouble().unwrap();
        assert_eq!(
            said,
            "of 22594 answers 7 had a status of 400 or more, and 0 times a connection failed"
        );
        assert!(
            answers(&PRINTED.replace("22594", "0")).unwrap().trouble().is_some(),
            "nobody answered"
        );
    }
}
