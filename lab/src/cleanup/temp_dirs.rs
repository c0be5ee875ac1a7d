//! Removes a temporary folder once every process that uses it has ended.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Waits for the end of standard input, which comes when the last process that holds the pipe ends.
const SCRIPT: &str = r#"trap "" INT TERM HUP; while read -r _; do :; done; rm -rf "$1""#;

/// A small `sh` that outlives this process for as long as removing the folder takes. This process
/// and the watchdogs of the servers in that folder hold its pipe.
#[derive(Debug)]
pub(crate) struct TempDirRemover {
    shell: Child,
    pipe: Option<File>,
}

impl TempDirRemover {
    /// Arranges that the folder is removed when this process and its servers have ended.
    pub(crate) fn spawn(folder: &Path) -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "temp_dir_remover"])
            .arg(folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = shell.stdin.take().map(OwnedFd::from).map(File::from);
        Ok(Self { shell, pipe })
    }

    /// The pipe, for a program that must have ended before the folder is removed.
    pub(crate) fn pipe(&self) -> io::Result<Stdio> {
        match &self.pipe {
            Some(pipe) => Ok(pipe.try_clone()?.into()),
            None => Ok(Stdio::null()),
        }
    }
}

impl Drop for TempDirRemover {
    fn drop(&mut self) {
        self.pipe = None;
        let _ = self.shell.wait();
    }
}
