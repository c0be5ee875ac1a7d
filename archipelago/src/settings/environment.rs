//! Reads the settings from environment variables, and collects everything that is wrong with them.

use std::env::VarError;
use std::fmt::Display;

use super::Settings;
use super::region_set::RegionSet;
use super::setting_error::SettingError;
use super::url::{DatabaseUrl, UrlError};
use crate::region::{RegionInfo, Role};

/// The settings of an environment; `var` answers like [`std::env::var`].
pub(super) fn read<R: RegionSet>(
    var: impl Fn(&str) -> Result<String, VarError>,
) -> Result<Settings, Vec<SettingError>> {
    let mut variables = Variables { var, errors: Vec::new() };
    let region = variables.text("FLY_REGION").unwrap_or_default();
    variables.check_primary_region::<R>();
    let pool_size = variables.pool_size().unwrap_or(R::POOL_SIZE);
    let base = variables.url("DATABASE_URL");
    let region_url = |info: &'static RegionInfo| {
        Some((info.code, variables.region_url::<R>(info, base.as_ref())?))
    };
    let urls = R::REGIONS.iter().filter_map(region_url).collect();
    if variables.errors.is_empty() {
        Ok(Settings::with_urls(region, urls, pool_size))
    } else {
        Err(variables.errors)
    }
}

/// The variable that overrides one region's URL: `us-east-1` → `DATABASE_URL_US_EAST_1`.
#[must_use]
pub fn override_variable(region: &str) -> String {
    format!("DATABASE_URL_{}", region.to_ascii_uppercase().replace('-', "_"))
}

/// The variables, and what is wrong with those that were read.
struct Variables<V> {
    var: V,
    errors: Vec<SettingError>,
}

impl<V: Fn(&str) -> Result<String, VarError>> Variables<V> {
    fn text(&mut self, name: &str) -> Option<String> {
        match (self.var)(name) {
            Ok(value) => Some(value).filter(|value| !value.is_empty()),
            Err(VarError::NotPresent) => None,
            Err(VarError::NotUnicode(_)) => {
                let advice = "it is not valid UTF-8: write it as text".to_owned();
                self.errors.push(SettingError::Unusable { name: name.to_owned(), advice });
                None
            }
        }
    }

    fn invalid(&mut self, name: &str, value: impl Display, advice: impl Into<String>) {
        self.errors.push(SettingError::Invalid {
            name: name.to_owned(),
            value: value.to_string(),
            advice: advice.into(),
        });
    }

    /// Reports a missing variable once, also when several regions need it.
    fn missing(&mut self, name: &str, advice: impl Into<String>) {
        let mut missing = self.errors.iter().filter_map(|error| match error {
            SettingError::Missing { name, .. } => Some(name),
            _ => None,
        });
        if !missing.any(|missing| missing == name) {
            let (name, advice) = (name.to_owned(), advice.into());
            self.errors.push(SettingError::Missing { name, advice });
        }
    }

    /// Reports once that no region's URL can be derived: the reason is the same for every region.
    fn underivable(&mut self, problem: UrlError) {
        let noted = |error: &SettingError| {
            matches!(error, SettingError::Url { problem: UrlError::Underivable(_), .. })
        };
        if !self.errors.iter().any(noted) {
            self.errors.push(SettingError::Url { name: "DATABASE_URL".to_owned(), problem });
        }
    }

    fn url(&mut self, name: &str) -> Option<Result<DatabaseUrl, ()>> {
        let text = self.text(name)?;
        Some(text.parse().map_err(|problem| {
            self.errors.push(SettingError::Url { name: name.to_owned(), problem });
        }))
    }

    fn pool_size(&mut self) -> Option<u32> {
        let text = self.text("POOL_SIZE")?;
        let size = text.trim().parse().ok().filter(|size| (1..=1000).contains(size));
        if size.is_none() {
            self.invalid("POOL_SIZE", text, "write a number of connections from 1 to 1000");
        }
        size
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

    /// None when something is wrong with it, which is then in the list of errors.
    fn region_url<R: RegionSet>(
        &mut self,
        info: &'static RegionInfo,
        base: Option<&Result<DatabaseUrl, ()>>,
    ) -> Option<DatabaseUrl> {
        let overriding = override_variable(info.code);
        let explicit =
            self.url(&overriding).or_else(|| info.url_env.and_then(|name| self.url(name)));
        if let Some(explicit) = explicit {
            return explicit.ok();
        }
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
