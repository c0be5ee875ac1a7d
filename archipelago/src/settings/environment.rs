//! Reads the settings from environment variables, and collects everything that is wrong with them.

use std::collections::{BTreeSet, HashSet};
use std::env::VarError;
use std::fmt::Display;
use std::time::Duration;

use super::login::ReadingUser;
use super::region_set::RegionSet;
use super::settings_error::{SettingProblem, SettingsError};
use super::shown::shown;
use super::url::{DatabaseUrl, UrlError};
use super::{MONITOR_RESTS, POOL_SIZES, Settings};
use crate::region::{RegionInfo, Role};

/// The settings of an environment; `var` answers like [`std::env::var`].
pub(super) fn read<R: RegionSet>(
    var: impl Fn(&str) -> Result<String, VarError>,
) -> Result<Settings, SettingsError> {
    let mut variables = Variables { var, problems: Vec::new() };
    let region = variables.region::<R>();
    variables.check_primary_region::<R>();
    let pool_size = variables.pool_size().unwrap_or(R::POOL_SIZE);
    let base = variables.url("DATABASE_URL");
    let (mut urls, mut off) = (Vec::<(_, DatabaseUrl)>::new(), Vec::new());
    for info in R::REGIONS {
        let first = urls.iter().find(|(code, _)| *code == info.region).map(|(_, url)| url.clone());
        let url = match variables.own_url(info) {
            Some(url) => url.ok(),
            None if info.region == info.code => variables.region_url::<R>(info, base.as_ref()),
            None => {
                off.push(info.code);
                first
            }
        };
        urls.extend(url.map(|url| (info.code, url)));
    }
    let is_on_fly = FLY_VARIABLES.iter().any(|name| variables.text(name).is_some());
    if variables.pools_sessions() {
        urls = urls.into_iter().map(|(code, url)| (code, url.through_session_pooler())).collect();
    }
    let reading_user = variables.reading_user();
    let monitor_rest = variables.monitor_rest();
    if variables.problems.is_empty() {
        let expects_region = is_deployed(is_on_fly, urls.iter().map(|(_, url)| url));
        let settings = Settings::with_urls(region, urls, pool_size);
        Ok(Settings { expects_region, off, reading_user, monitor_rest, ..settings })
    } else {
        Err(variables.problems.into())
    }
}

/// Fly.io sets them on each machine, beside `FLY_REGION`.
const FLY_VARIABLES: [&str; 3] = ["FLY_APP_NAME", "FLY_MACHINE_ID", "FLY_ALLOC_ID"];

/// Whether this seems to be no developer's machine, so that `FLY_REGION` should be set: it is on
/// Fly.io, or the regions' databases are several servers, and not all of them here.
fn is_deployed<'a>(is_on_fly: bool, urls: impl Iterator<Item = &'a DatabaseUrl> + Clone) -> bool {
    let servers: HashSet<_> = urls.clone().map(|url| (url.host(), url.port())).collect();
    is_on_fly || servers.len() > 1 && urls.into_iter().any(|url| !url.is_on_this_machine())
}

/// A region that is neither one of `R` nor a place that it knows: the primary would serve its reads
/// from wherever it is.
pub(super) fn unknown_region<R: RegionSet>(name: &str, value: &str) -> SettingProblem {
    let lower = value.to_ascii_lowercase();
    let regions = R::REGIONS.iter().map(|info| info.region);
    let known: BTreeSet<_> = regions.chain(R::PLACES.iter().copied()).collect();
    let known = known.into_iter().collect::<Vec<_>>().join(", ");
    let known = format!("write a place that this program was built for ({known})");
    if shown(value) != value {
        return SettingProblem::Unusable { name: name.to_owned(), advice: known };
    }
    let advice = if R::knows(&lower) {
        format!("write `{lower}`")
    } else {
        format!("{known}, or add [places.{lower}] to regions.toml and build again")
    };
    SettingProblem::Invalid { name: name.to_owned(), value: value.to_owned(), advice }
}

/// A pool size out of [`POOL_SIZES`].
pub(super) fn wrong_pool_size(name: &str, value: impl Display) -> SettingProblem {
    let (least, most) = (POOL_SIZES.start(), POOL_SIZES.end());
    let advice = format!("write a number of connections from {least} to {most}");
    SettingProblem::Invalid { name: name.to_owned(), value: value.to_string(), advice }
}

/// The variable that overrides one region's URL: `us-east-1` → `DATABASE_URL_US_EAST_1`.
#[must_use]
pub fn override_variable(region: &str) -> String {
    format!("DATABASE_URL_{}", region.to_ascii_uppercase().replace('-', "_"))
}

/// Warns of each variable of this process that looks as if it overrode one region's URL, where no region
/// of `R` has that name. [`Settings::from_env`] does it as well.
pub fn warn_of_unknown_overrides<R: RegionSet>() {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| is_unknown_override::<R>(name)) {
        tracing::warn!("{name} is not used: no region of this program has that name");
    }
}

fn is_unknown_override<R: RegionSet>(name: &str) -> bool {
    let is_of =
        |info: &RegionInfo| name == override_variable(info.code) || info.url_env == Some(name);
    name.starts_with("DATABASE_URL_") && !R::REGIONS.iter().any(is_of)
}

/// The variables, and what is wrong with those that were read.
struct Variables<V> {
    var: V,
    problems: Vec<SettingProblem>,
}

impl<V: Fn(&str) -> Result<String, VarError>> Variables<V> {
    fn text(&mut self, name: &str) -> Option<String> {
        let value = self.raw(name)?;
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// With its spaces, which may be part of a password.
    fn raw(&mut self, name: &str) -> Option<String> {
        match (self.var)(name) {
            Ok(value) => Some(value).filter(|value| !value.is_empty()),
            Err(VarError::NotPresent) => None,
            Err(VarError::NotUnicode(_)) => {
                let advice = "it is not valid UTF-8: write it as text".to_owned();
                self.problems.push(SettingProblem::Unusable { name: name.to_owned(), advice });
                None
            }
        }
    }

    fn invalid(&mut self, name: &str, value: impl Display, advice: impl Into<String>) {
        self.problems.push(SettingProblem::Invalid {
            name: name.to_owned(),
            value: value.to_string(),
            advice: advice.into(),
        });
    }

    /// Reports a missing variable once, also when several regions need it, and not where it is there
    /// and cannot be used.
    fn missing(&mut self, name: &str, advice: impl Into<String>) {
        let mut reported = self.problems.iter().filter_map(|problem| match problem {
            SettingProblem::Missing { name, .. } | SettingProblem::Unusable { name, .. } => {
                Some(name)
            }
            _ => None,
        });
        if !reported.any(|reported| reported == name) {
            let (name, advice) = (name.to_owned(), advice.into());
            self.problems.push(SettingProblem::Missing { name, advice });
        }
    }

    /// Reports once that no region's URL can be derived: the reason is the same for every region.
    fn underivable(&mut self, problem: UrlError) {
        let noted = |noted: &SettingProblem| {
            matches!(noted, SettingProblem::Url { problem: UrlError::Underivable(_), .. })
        };
        if !self.problems.iter().any(noted) {
            self.problems.push(SettingProblem::Url { name: "DATABASE_URL".to_owned(), problem });
        }
    }

    fn url(&mut self, name: &str) -> Option<Result<DatabaseUrl, ()>> {
        let text = self.text(name)?;
        Some(DatabaseUrl::read(&text, &self.var).map_err(|problem| {
            self.problems.push(SettingProblem::Url { name: name.to_owned(), problem });
        }))
    }

    fn pools_sessions(&mut self) -> bool {
        let Some(text) = self.text("DATABASE_POOLER") else { return false };
        if text != "session" {
            self.invalid("DATABASE_POOLER", text, "write `session`, or the servers' own URLs");
        }
        true
    }

    fn reading_user(&mut self) -> Option<ReadingUser> {
        let password = self.raw("DATABASE_READ_PASSWORD");
        let user = self.text("DATABASE_READ_USER");
        if user.is_none() && password.is_some() {
            let advice = "DATABASE_READ_PASSWORD is the password of the role that it should name";
            self.missing("DATABASE_READ_USER", advice);
        }
        let user = user?;
        if user.contains(':') {
            self.problems.push(SettingProblem::Unusable {
                name: "DATABASE_READ_USER".to_owned(),
                advice: "write the name of a role; its password belongs in DATABASE_READ_PASSWORD"
                    .to_owned(),
            });
            return None;
        }
        Some(ReadingUser { user, password })
    }

    /// Empty where none is set.
    fn region<R: RegionSet>(&mut self) -> String {
        let region = self.text("FLY_REGION").unwrap_or_default();
        if !region.is_empty() && !R::knows(&region) {
            self.problems.push(unknown_region::<R>("FLY_REGION", &region));
        }
        region
    }

    fn pool_size(&mut self) -> Option<u32> {
        let text = self.text("POOL_SIZE")?;
        let size = text.parse().ok().filter(|size| POOL_SIZES.contains(size));
        if size.is_none() {
            self.problems.push(wrong_pool_size("POOL_SIZE", text));
        }
        size
    }

    fn monitor_rest(&mut self) -> Option<Duration> {
        let text = self.text("MONITOR_REST")?;
        let after = text.parse().ok().map(Duration::from_secs);
        let after = after.filter(|after| MONITOR_RESTS.contains(after));
        if after.is_none() {
            let (least, most) = (MONITOR_RESTS.start().as_secs(), MONITOR_RESTS.end().as_secs());
            let advice = format!("write a number of seconds from {least} to {most}");
            self.invalid("MONITOR_REST", text, advice);
        }
        after
    }

    fn check_primary_region<R: RegionSet>(&mut self) {
        let built = R::PRIMARY.code;
        if let Some(given) = self.text("PRIMARY_REGION").filter(|given| given != built) {
            let advice = format!(
                "this program was built with the primary in `{built}`: make `primary` in \
                 regions.toml and `primary_region` in fly.toml the same, and build again"
            );
            self.invalid("PRIMARY_REGION", given, advice);
        }
    }

    /// The URL in a server's own variable.
    fn own_url(&mut self, info: &'static RegionInfo) -> Option<Result<DatabaseUrl, ()>> {
        let overriding = override_variable(info.code);
        self.url(&overriding).or_else(|| info.url_env.and_then(|name| self.url(name)))
    }

    /// The URL of a region without one of its own. None when something is wrong with it, which is
    /// then in the list of problems.
    fn region_url<R: RegionSet>(
        &mut self,
        info: &'static RegionInfo,
        base: Option<&Result<DatabaseUrl, ()>>,
    ) -> Option<DatabaseUrl> {
        let Some(base) = base else {
            match info.url_env {
                Some(name) => self.missing(
                    name,
                    format!("set it to the URL of the {} in region `{}`", info.role, info.code),
                ),
                None => self.missing(
                    "DATABASE_URL",
                    "set it to the URL of the primary; the replicas' URLs are made from it",
                ),
            }
            return None;
        };
        let base = base.as_ref().ok()?;
        if info.role == Role::Primary {
            return Some(base.clone());
        }
        // A single database plays every region. Any other URL does not lead to a region that has a
        // `url_env`: regions.toml says that the host rule does not hold for it.
        if let Some(name) = info.url_env.filter(|_| !base.is_one_database()) {
            self.missing(
                name,
                format!("regions.toml says that it holds the URL of region `{}`", info.code),
            );
            return None;
        }
        match base.of_region(info.code, R::knows) {
            Ok(url) => Some(url),
            Err(problem) => {
                self.underivable(problem);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_region_is_expected() {
        let (home, other) = ("postgres://app@localhost:5001/app", "postgres://127.0.0.1:5002/app");
        let socket = "postgres:///app?host=/run/postgresql";
        let (far, farther) = ("postgres://db-a.example/app", "postgres://db-b.example/app");
        for (is_on_fly, urls, expected) in [
            (false, [home, home], false),
            (false, [home, other], false),
            (false, [home, socket], false),
            (false, [far, far], false),
            (false, [home, far], true),
            (false, [far, farther], true),
            (true, [home, home], true),
        ] {
            let parsed = urls.map(|url| url.parse::<DatabaseUrl>().unwrap());
            assert_eq!(is_deployed(is_on_fly, parsed.iter()), expected, "{is_on_fly} {urls:?}");
        }
    }
}
