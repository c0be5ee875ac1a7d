//! What all servers of a world use: the installation, the passwords, the folder, the links.

use std::ffi::OsStr;
use std::process::Command;

use crate::LabError;
use crate::links::Links;
use crate::passwords::Passwords;
use crate::postgres::Postgres;
use crate::process::{Launch, Process, Shutdown};
use crate::world_dir::WorldDir;

#[derive(Debug)]
pub(crate) struct WorldContext {
    pub(crate) postgres: Postgres,
    pub(crate) passwords: Passwords,
    pub(crate) dir: WorldDir,
    pub(crate) links: Links,
}

impl WorldContext {
    /// How servers stop when the world ends.
    pub(crate) fn shutdown_at_end(&self) -> Shutdown {
        if self.dir.is_temporary() { Shutdown::Immediate } else { Shutdown::Fast }
    }

    /// Starts a program of PostgreSQL that logs to the region's log; `adjust` adds environment.
    pub(crate) fn spawn<S: AsRef<OsStr>>(
        &self,
        program: &str,
        region: &str,
        at_end: Shutdown,
        arguments: impl IntoIterator<Item = S>,
        adjust: impl FnOnce(&mut Command),
    ) -> Result<Process, LabError> {
        let program = self.postgres.bin().join(program);
        let log = self.dir.open_log(region)?;
        let spawned = self.dir.pipe_of_remover().and_then(|held_pipe| {
            let (account, folder) = (&self.dir.account, &*self.dir.home);
            Launch { account, program: &program, folder, log, at_end, held_pipe }
                .spawn(arguments, adjust)
        });
        spawned.map_err(|source| LabError::CannotRun { program, source })
    }
}
