//! The passwords of a world's roles.

use std::fs;

use rand::distr::{Alphanumeric, SampleString};

use crate::LabError;
use crate::place::Place;

/// The superuser that `initdb` makes.
pub(crate) const ADMIN: &str = "postgres";
/// The ordinary role of applications and tests, and the name of its database.
pub(crate) const APP: &str = "app";
/// The role that replicas connect with.
pub(crate) const REPLICATOR: &str = "replicator";

/// Letters and digits only: they need no quotes in SQL, in a URL or in a configuration file.
const LENGTH: usize = 32;

pub(crate) struct Secrets {
    pub(crate) admin: String,
    pub(crate) app: String,
    pub(crate) replicator: String,
}

impl Secrets {
    /// The passwords that the data was made with; new ones where there is no data yet.
    pub(crate) fn open(place: &Place, data_exists: bool) -> Result<Self, LabError> {
        let file = place.home.join("passwords");
        if data_exists {
            let content = fs::read_to_string(&file).unwrap_or_default();
            let mut lines = content.lines().map(str::to_owned);
            return match (lines.next(), lines.next(), lines.next()) {
                (Some(admin), Some(app), Some(replicator)) => Ok(Self { admin, app, replicator }),
                _ => Err(LabError::PasswordsGone { file, folder: place.folder.clone() }),
            };
        }
        let [admin, app, replicator] =
            std::array::from_fn(|_| Alphanumeric.sample_string(&mut rand::rng(), LENGTH));
        place.write_private(&file, &format!("{admin}\n{app}\n{replicator}\n"))?;
        Ok(Self { admin, app, replicator })
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}
