//! A contender under callgrind, whose counts can be taken while it serves.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::Failed;
use crate::child::Running;
use crate::contenders::Contender;

/// A contender that counts its instructions.
pub struct Counted {
    running: Running,
    /// Where callgrind writes its counts: each time to a file with the next number as its extension.
    files: PathBuf,
    /// How many it has written.
    dumps: u32,
    _folder: tempfile::TempDir,
}

/// What callgrind has counted since the counts before.
pub struct Counts {
    /// The instructions in user space.
    pub instructions: f64,
    /// What callgrind wrote.
    pub file: PathBuf,
}

impl Counted {
    /// Starts a contender under callgrind.
    ///
    /// # Errors
    /// When valgrind is not installed, or the contender does not start.
    pub async fn start(
        contender: Contender,
        vars: &[(String, String)],
        name: &str,
    ) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let files = folder.path().join(name);
        let own = std::env::current_exe()?.display().to_string();
        let output = format!("--callgrind-out-file={}", files.display());
        let [serve, contender] = contender.arguments();
        let arguments =
            ["--tool=callgrind", "--fair-sched=yes", "-q", &output, &own, serve, contender];
        let running = Running::start_binary(Path::new("valgrind"), &arguments, vars).await?;
        Ok(Self { running, files, dumps: 0, _folder: folder })
    }

    /// The URL of the contender's first page.
    pub fn address(&self) -> String {
        self.running.url("")
    }

    /// Takes the counts, and begins again from zero.
    ///
    /// # Errors
    /// When callgrind does not answer.
    pub async fn dump(&mut self) -> Result<Counts, Failed> {
        let pid = self.running.pid.to_string();
        let output = Command::new("callgrind_control").args(["--dump", &pid]).output().await;
        let output = output.map_err(|error| {
            format!("cannot run callgrind_control, a part of valgrind: {error}")
        })?;
        self.dumps += 1;
        let file = self.files.with_extension(self.dumps.to_string());
        let counts = tokio::fs::read_to_string(&file).await.map_err(|error| {
            let said = String::from_utf8_lossy(&output.stderr);
            format!("callgrind_control wrote no {} ({error}): {said}", file.display())
        })?;
        let totals = counts.lines().find_map(|line| line.strip_prefix("totals: "));
        let instructions = totals.ok_or("callgrind wrote no totals")?.parse()?;
        Ok(Counts { instructions, file })
    }

    /// Stops the contender.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub async fn stop(self) -> Result<(), Failed> {
        self.running.stop().await
    }
}
