//! A contender as a process of its own: this program again, which serves until its standard input closes.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::Failed;

/// More than any contender needs to start or to stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// A contender that listens.
pub struct Running {
    child: Child,
    /// Where.
    pub address: SocketAddr,
    /// Its process.
    pub pid: i32,
}

impl Running {
    /// Starts this program with other arguments and variables: a hidden command that serves.
    ///
    /// # Errors
    /// When it does not start; what it says of that goes to standard error.
    pub async fn start(arguments: &[&str], vars: &[(String, String)]) -> Result<Self, Failed> {
        Self::start_binary(&std::env::current_exe()?, arguments, vars).await
    }

    /// The same of another build of this program.
    ///
    /// # Errors
    /// When it does not start; what it says of that goes to standard error.
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
        let unstarted = || format!("`{}` does not start", arguments.join(" "));
        let stdout = child.stdout.take().ok_or_else(unstarted)?;
        let line = timeout(PATIENCE, BufReader::new(stdout).lines().next_line())
            .await??
            .ok_or_else(unstarted)?;
        let pid = i32::try_from(child.id().ok_or_else(unstarted)?)?;
        Ok(Self { child, address: line.parse()?, pid })
    }

    /// Where a path of it is.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// When it does not end, or not in order.
    pub async fn stop(mut self) -> Result<(), Failed> {
        drop(self.child.stdin.take());
        let status = timeout(PATIENCE, self.child.wait()).await??;
        if status.success() {
            Ok(())
        } else {
            Err(format!("a contender ended with {status}").into())
        }
    }
}

/// In the child: tells the parent where it listens.
///
/// # Errors
/// When there is no parent any more.
pub fn announce(address: SocketAddr) -> io::Result<()> {
    writeln!(io::stdout(), "{address}")
}

/// In the child: waits until the parent wants it to stop, or is gone.
pub async fn told_to_stop() {
    // Nothing is ever written: it ends when the pipe closes.
    let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await;
}
