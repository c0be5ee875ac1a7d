//! The file with the address of a running world.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rand::distr::{Alphanumeric, SampleString};
use serde::{Deserialize, Serialize};

use crate::layout::CONTROL;

/// The address for commands, and the token that they need.
#[derive(Serialize, Deserialize)]
pub(super) struct Contact {
    pub(super) address: SocketAddr,
    pub(super) token: String,
}

impl Contact {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, token: Alphanumeric.sample_string(&mut rand::rng(), 32) }
    }

    pub(super) fn file(folder: &Path) -> PathBuf {
        folder.join(CONTROL)
    }

    /// Writes the file for this process's user only: with it a program can ask for every password.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.persist(Self::file(folder)).map(drop).map_err(|error| error.error)
    }

    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(Self::file(folder))?)?)
    }
}
