//! What all servers of a world stand on: a place, an installation, the passwords, the lines between them.

use crate::place::Place;
use crate::postgres::Postgres;
use crate::process::Halt;
use crate::secrets::Secrets;
use crate::{LabError, Lines};

#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) postgres: Postgres,
    pub(crate) secrets: Secrets,
    pub(crate) place: Place,
    pub(crate) lines: Lines,
    /// Tests share the servers, so none of them may harm one.
    pub(crate) shared: bool,
}

impl Site {
    /// Whether the servers may be harmed, by doing this.
    pub(crate) fn allows(&self, doing: &'static str) -> Result<(), LabError> {
        if self.shared { Err(LabError::Shared { doing }) } else { Ok(()) }
    }

    /// How servers end when the world does.
    pub(crate) fn at_end(&self) -> Halt {
        if self.place.sweeper.is_some() { Halt::Immediate } else { Halt::Fast }
    }
}
