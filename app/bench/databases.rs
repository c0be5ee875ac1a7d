//! Where the databases of a benchmark are, and from where they are seen.

use archipelago::{RepoSet, Settings};

use crate::cli::{Failed, database_settings};
#[cfg(feature = "lab")]
use crate::local::{self, Local, rehearsal, with};
use crate::repos::Repos;
use crate::settings::Vars;

/// Databases that are there until [`leave`](Self::leave) is called.
pub(super) struct Databases {
    /// Where they are; the region is the one that they are seen from, empty where nobody said.
    pub(super) settings: Settings,
    #[cfg(feature = "lab")]
    local: Option<Local>,
}

/// Why a region cannot be the one that the databases are seen from.
#[derive(Debug, thiserror::Error)]
enum FromError {
    #[error(
        "--from {given} cannot be: the environment says where the databases are, and this machine is {here}; \
         leave --from out, or run this on a machine in {given}"
    )]
    Elsewhere { given: String, here: String },
    #[cfg(feature = "lab")]
    #[error("`{given}` is no region to see the databases from; write one of {}", .known.join(", "))]
    Unknown { given: String, known: Vec<&'static str> },
}

impl Databases {
    /// Those of the environment, as they are seen from this machine; where it names none, those under `.lab/`, as they are
    /// seen from `from`, from `FLY_REGION`, or from the primary's region.
    #[cfg(feature = "lab")]
    pub(super) async fn seen_from(from: Option<&str>, vars: impl Vars + Copy) -> Result<Self, Failed> {
        if !Local::is_wanted(&vars) {
            return Ok(Self { settings: of_this_machine(from, &vars)?, local: None });
        }
        // What is wrong is said before anything is started.
        let rehearsal = database_settings(&rehearsal(vars))?;
        let region = from.or(Some(rehearsal.region()).filter(|region| !region.is_empty())).unwrap_or(Repos::PRIMARY.code);
        if !<Repos as RepoSet>::knows(region) {
            let known = Repos::REGIONS.iter().map(|info| info.code).chain(Repos::PLACES.iter().copied());
            let mut known: Vec<_> = known.collect();
            known.sort_unstable();
            known.dedup();
            return Err(FromError::Unknown { given: region.to_owned(), known }.into());
        }
        crate::cli::say("DATABASE_URL is not set: starting PostgreSQL under .lab/ …\n")?;
        let local = Local::start(local::distances()?).await?;
        local.prepare().await?;
        let settings = database_settings(&with(local.seen_from(region)?, vars))?;
        Ok(Self { settings, local: Some(local) })
    }

    /// Those of the environment, as they are seen from this machine.
    #[cfg(not(feature = "lab"))]
    #[expect(clippy::unused_async, reason = "with the feature `lab` it waits for servers to start")]
    pub(super) async fn seen_from(from: Option<&str>, vars: impl Vars + Copy) -> Result<Self, Failed> {
        Ok(Self { settings: of_this_machine(from, &vars)? })
    }

    /// Stops what was started for them.
    #[cfg(feature = "lab")]
    pub(super) async fn leave(self) -> Result<(), Failed> {
        match self.local {
            Some(local) => Ok(local.stop().await?),
            None => Ok(()),
        }
    }

    /// Nothing was started for them.
    #[cfg(not(feature = "lab"))]
    #[expect(clippy::unused_async, reason = "with the feature `lab` it waits for servers to stop")]
    pub(super) async fn leave(self) -> Result<(), Failed> {
        Ok(())
    }
}

fn of_this_machine(from: Option<&str>, vars: &impl Vars) -> Result<Settings, Failed> {
    let settings = database_settings(vars)?;
    match from.filter(|from| *from != settings.region()) {
        None => Ok(settings),
        Some(given) => {
            let here = match settings.region() {
                "" => "in no region that FLY_REGION names".to_owned(),
                region => format!("in {region}"),
            };
            Err(FromError::Elsewhere { given: given.to_owned(), here }.into())
        }
    }
}
