//! What all servers of a world stand on: a place, an installation, the passwords, the lines between them.

use crate::Links;
use crate::place::Place;
use crate::postgres::Postgres;
use crate::process::Halt;
use crate::secrets::Secrets;

#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) postgres: Postgres,
    pub(crate) secrets: Secrets,
    pub(crate) place: Place,
    pub(crate) lines: Links,
}

impl Site {
    /// How servers end when the world does.
    pub(crate) fn at_end(&self) -> Halt {
        if self.place.sweeper.is_some() { Halt::Immediate } else { Halt::Fast }
    }
}
