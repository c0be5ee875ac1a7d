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
    /// What the script is given: the number of users, for one.
    pub argument: u32,
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
        let Self { script, seconds, connections, argument } = self;
        // One thread of wrk is quicker than a program on the other cores, and leaves them more than two would.
        let output = Command::new("wrk")
            .args(["--threads=1", &format!("--connections={connections}"), &format!("--duration={seconds}")])
            .args([&format!("--script={script}.lua"), url, "--", &argument.to_string()])
            .current_dir(FOLDER)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => "there is no wrk, which sends the requests; install it: apt-get install wrk".into(),
                _ => Failed::from(error),
            })?;
        let printed = String::from_utf8_lossy(&output.stdout);
        answers(&printed).ok_or_else(|| {
            format!("wrk gave no figures for {script}.lua:\n{printed}{}", String::from_utf8_lossy(&output.stderr)).into()
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
