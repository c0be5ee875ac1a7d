//! The databases of a benchmark, and the region from which they are seen.

use archipelago::Settings;

use crate::console::CommandError;
use crate::environment::Vars;
use crate::repos::Repos;

/// Databases that are there until [`shutdown`](Self::shutdown) is called.
pub(super) struct Databases {
    /// The URLs of the databases. `region` is the one from which they are seen, or empty.
    pub(super) settings: Settings,
    #[cfg(feature = "lab")]
    local: Option<crate::local_databases::LocalDatabases>,
}

/// Why the databases cannot be seen from the region given by `--from`.
#[derive(Debug, thiserror::Error)]
enum FromError {
    #[error(
        "--from {given} cannot be: the environment names the databases, and this machine is {here}; \
         leave --from out, or run this on a machine in {given}"
    )]
    Elsewhere { given: String, here: String },
    #[cfg(feature = "lab")]
    #[error("`{given}` is no region to see the databases from; write one of {}", .known.join(", "))]
    Unknown { given: String, known: Vec<&'static str> },
}

#[cfg_attr(
    not(feature = "lab"),
    expect(
        clippy::unused_async,
        reason = "with the lab, the servers are started and stopped here"
    )
)]
impl Databases {
    /// The databases that the environment names, seen from this machine.
    ///
    /// If the environment names none, those under `.lab/`, seen from `from`, `FLY_REGION` or the
    /// primary's region.
    pub(super) async fn seen_from(
        from: Option<&str>,
        vars: impl Vars + Copy,
    ) -> Result<Self, CommandError> {
        #[cfg(feature = "lab")]
        if crate::local_databases::LocalDatabases::are_wanted(&vars) {
            return Self::under_lab(from, vars).await;
        }
        Ok(Self {
            settings: of_this_machine(from, &vars)?,
            #[cfg(feature = "lab")]
            local: None,
        })
    }

    /// Stops what was started for them.
    pub(super) async fn shutdown(self) -> Result<(), CommandError> {
        #[cfg(feature = "lab")]
        if let Some(local) = self.local {
            local.shutdown().await?;
        }
        Ok(())
    }

    #[cfg(feature = "lab")]
    async fn under_lab(from: Option<&str>, vars: impl Vars + Copy) -> Result<Self, CommandError> {
        use archipelago::RegionSet;

        use crate::console::print_status;
        use crate::environment::overlay;
        use crate::local_databases::{LocalDatabases, distances, with_placeholder_url};
        use crate::repos::Repos;

        // A wrong setting is reported before any server is started.
        let checked = Settings::from_vars::<Repos>(&with_placeholder_url(vars))?;
        let here = Some(checked.region()).filter(|region| !region.is_empty());
        let region = from.or(here).unwrap_or(Repos::PRIMARY.code);
        if !Repos::knows(region) {
            let mut known: Vec<_> = Repos::REGIONS
                .iter()
                .map(|info| info.code)
                .chain(Repos::PLACES.iter().copied())
                .collect();
            known.sort_unstable();
            known.dedup();
            return Err(FromError::Unknown { given: region.to_owned(), known }.into());
        }
        if let Some(overrides) = LocalDatabases::env_of_running_lab(region).await? {
            print_status(
                "DATABASE_URL is not set: measuring the servers that run under .lab/ already\n",
            )?;
            return Ok(Self {
                settings: Settings::from_vars::<Repos>(&overlay(overrides, vars))?,
                local: None,
            });
        }
        print_status("DATABASE_URL is not set: starting PostgreSQL under .lab/ …\n")?;
        let local = LocalDatabases::start(distances()?).await?;
        local.prepare().await?;
        let settings = Settings::from_vars::<Repos>(&overlay(local.env_seen_from(region)?, vars))?;
        Ok(Self { settings, local: Some(local) })
    }
}

fn of_this_machine(from: Option<&str>, vars: &impl Vars) -> Result<Settings, CommandError> {
    let settings = Settings::from_vars::<Repos>(vars)?;
    match from.filter(|from| *from != settings.region()) {
        None => Ok(settings),
        Some(given) => {
            let here = match settings.region() {
                "" => "in a region that FLY_REGION does not name".to_owned(),
                region => format!("in {region}"),
            };
            Err(FromError::Elsewhere { given: given.to_owned(), here }.into())
        }
    }
}
