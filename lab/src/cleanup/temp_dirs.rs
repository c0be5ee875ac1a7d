//! Removes a temporary folder when everybody who uses it is gone.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Waits for the end of standard input, which comes when the last holder of the pipe is gone.
const SCRIPT: &str = r#"trap "" INT TERM HUP; while read -r _; do :; done; rm -rf "$1""#;

/// A small `sh` that outlives this process by the moment it takes to remove the folder. Holders of
/// its pipe are this process and the watchdogs of the servers in that folder.
#[derive(Debug)]
pub(crate) struct Sweeper {
    shell: Child,
    pipe: Option<File>,
}

impl Sweeper {
    /// From now on the folder goes when this process and its servers are gone.
    pub(crate) fn spawn(folder: &Path) -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "sweeper"])
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

    /// For a program that the sweeper has to wait for.
    pub(crate) fn ticket(&self) -> io::Result<Stdio> {
        match &self.pipe {
            Some(pipe) => Ok(pipe.try_clone()?.into()),
            None => Ok(Stdio::null()),
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.pipe = None;
        let _ = self.shell.wait();
    }
}
