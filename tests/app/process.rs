//! Runs the program as a process, with arguments and an environment.

use std::collections::HashMap;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Long enough for the program to create a server for each region, or to measure all of them.
pub const PATIENCE: Duration = Duration::from_mins(5);

pub fn program(arguments: &[&str], vars: &HashMap<String, String>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_archipelago"));
    command.args(arguments);
    in_environment(command, vars)
}

/// The program without arguments, which may open so many files.
pub fn program_with_files(limit: usize, vars: &HashMap<String, String>) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {limit}; exec \"$0\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_archipelago")]);
    in_environment(command, vars)
}

fn in_environment(mut command: Command, vars: &HashMap<String, String>) -> Command {
    command
        .env_clear()
        .envs(vars)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Whether the program succeeded, its standard output and its standard error.
pub async fn output(arguments: &[&str], vars: &HashMap<String, String>) -> (bool, String, String) {
    let output = program(arguments, vars).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

pub fn vars(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The program while it serves.
pub struct Serving {
    pub child: Child,
    pub address: String,
    pub lines: Lines<BufReader<ChildStdout>>,
}

impl Serving {
    /// Starts the program, and waits for the line that has the address after `announced`.
    pub async fn start(
        arguments: &[&str],
        vars: &HashMap<String, String>,
        announced: &str,
    ) -> Self {
        Self::spawn(program(arguments, vars), announced).await
    }

    /// As [`start`](Self::start), for a command that was changed.
    pub async fn spawn(mut command: Command, announced: &str) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, address)) = line.split_once(announced) {
                    return Some(address.split(' ').next().unwrap_or_default().to_owned());
                }
            }
            None
        };
        let Some(address) = tokio::time::timeout(PATIENCE, listening)
            .await
            .expect("the program neither listens nor ends")
        else {
            let mut error = String::new();
            child.stderr.take().unwrap().read_to_string(&mut error).await.unwrap();
            panic!("the program did not start: {error}");
        };
        Self { child, address, lines }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(
            Command::new("kill")
                .args([&format!("-{name}"), &pid])
                .status()
                .await
                .unwrap()
                .success()
        );
    }
}
