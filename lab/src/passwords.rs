//! The database roles of a world and their passwords.

pub(crate) mod scram;

use std::fs;

use rand::distr::{Alphanumeric, SampleString};

use crate::LabError;
use crate::layout::PASSWORDS;
use crate::world_dir::WorldDir;

/// The superuser that `initdb` makes.
pub(crate) const ADMIN: &str = "postgres";
/// The ordinary role of applications and tests, and the name of its database.
pub(crate) const APP: &str = "app";
/// The role that replicas connect with.
pub(crate) const REPLICATOR: &str = "replicator";

/// In letters and digits, which need no quotes in SQL, in a URL or in a configuration file.
const LENGTH: usize = 32;

/// The password of each role.
pub(crate) struct Passwords {
    pub(crate) admin: String,
    pub(crate) app: String,
    pub(crate) replicator: String,
}

impl Passwords {
    /// The passwords that existing data was made with; new ones if there is no data yet.
    pub(crate) fn open(dir: &WorldDir, data_exists: bool) -> Result<Self, LabError> {
        let file = dir.home.join(PASSWORDS);
        if data_exists {
            let content = fs::read_to_string(&file).unwrap_or_default();
            let mut lines = content.lines().map(str::to_owned);
            return match (lines.next(), lines.next(), lines.next()) {
                (Some(admin), Some(app), Some(replicator)) => Ok(Self { admin, app, replicator }),
                _ => Err(LabError::PasswordsMissing { file, folder: dir.folder.clone() }),
            };
        }
        let [admin, app, replicator] =
            std::array::from_fn(|_| Alphanumeric.sample_string(&mut rand::rng(), LENGTH));
        dir.write_private(&file, &format!("{admin}\n{app}\n{replicator}\n"))?;
        Ok(Self { admin, app, replicator })
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords(…)")
    }
}
