//! The file that leads to a running world.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rand::distr::{Alphanumeric, SampleString};
use serde::{Deserialize, Serialize};

/// Where to send commands, and what to say there.
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
        folder.join("control")
    }

    /// For this process's user alone: whoever can read it gets every password.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.persist(Self::file(folder)).map(drop).map_err(|error| error.error)
    }

    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(Self::file(folder))?)?)
    }
}
