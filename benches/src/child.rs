//! A contender in a process of its own: this program again, serving until its stdin closes.
//!
//! The child prints its address as one line and serves until the parent closes its standard input.
//! Builds of different versions talk to each other this way (`load --against`), so this protocol
//! and the arguments of `serve` stay as they are.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::Failed;

/// The most time that a contender may take to start or to stop.
const DEADLINE: Duration = Duration::from_secs(30);

/// A contender that accepts requests.
pub struct Running {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process id.
    pub pid: i32,
}

impl Running {
    /// Starts this program with the arguments of a hidden command that serves.
    ///
    /// # Errors
    /// When it does not start. Its own message goes to standard error.
    pub async fn start(arguments: &[&str], vars: &[(String, String)]) -> Result<Self, Failed> {
        Self::start_binary(&std::env::current_exe()?, arguments, vars).await
    }

    /// Starts `binary`, which is a build of this program, with such arguments.
    ///
    /// # Errors
    /// When it does not start. Its own message goes to standard error.
    pub async fn start_binary(
        binary: &Path,
        arguments: &[&str],
        vars: &[(String, String)],
    ) -> Result<Self, Failed> {
        let mut child = Command::new(binary)
            .args(arguments)
            .envs(vars.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", binary.display()))?;
        let not_started = || format!("`{}` does not start", arguments.join(" "));
        let stdout = child.stdout.take().ok_or_else(not_started)?;
        let line = timeout(DEADLINE, BufReader::new(stdout).lines().next_line())
            .await??
            .ok_or_else(not_started)?;
        let pid = i32::try_from(child.id().ok_or_else(not_started)?)?;
        Ok(Self { child, address: line.parse()?, pid })
    }

    /// The URL of one of its paths.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Stops it by closing its standard input.
    ///
    /// # Errors
    /// When it does not stop in time, or stops with an error.
    pub async fn stop(mut self) -> Result<(), Failed> {
        drop(self.child.stdin.take());
        let status = timeout(DEADLINE, self.child.wait()).await??;
        if status.success() {
            Ok(())
        } else {
            Err(format!("a contender ended with {status}").into())
        }
    }
}

/// In the child: tells the parent the address.
///
/// # Errors
/// When the parent has ended.
pub fn announce(address: SocketAddr) -> io::Result<()> {
    writeln!(io::stdout(), "{address}")
}

/// In the child: waits until the parent closes the child's standard input or ends.
pub async fn wait_for_stop() {
    // The parent never writes to it: the copy ends when the pipe closes.
    let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await;
}
