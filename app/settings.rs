//! The settings of this instance, from environment variables. `archipelago::Settings` reads those
//! of the databases.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `HOST` | the address to listen on: 127.0.0.1, or `::` on Fly |
//! | `PORT` | the port of the pages: 8080 |
//! | `METRICS_PORT` | the port of `/metrics`, and of nothing else: 9091 |
//! | `SECRET_KEY` | 64 hex digits that sign the cookies; made up for a laptop, required on Fly |
//! | `RUST_LOG` | what to log, in `tracing-subscriber`'s syntax: `info,actix_server=warn` |
//! | `FLY_APP_NAME` | set by Fly: without it, this is a developer's machine |

use std::env::VarError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use archipelago::SettingError;
use archipelago::actix::Key;
use tracing_subscriber::EnvFilter;

use crate::environment::{Vars, is_on_fly};
use crate::repos::Repos;

/// Everything that the environment sets.
#[derive(Debug)]
pub struct Settings {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port of the pages; 0 takes any that is free.
    pub port: u16,
    /// The port of the metrics; 0 takes any that is free.
    pub metrics_port: u16,
    /// Signs the cookies.
    pub key: SigningKey,
    /// Whether the key was made up at this start, because none was set.
    pub is_key_temporary: bool,
    /// What to log, as `RUST_LOG` says.
    pub log: String,
    /// Whether this is a developer's machine: there, `serve` runs the migrations itself.
    pub is_development: bool,
    /// The databases, and the region of this instance.
    pub databases: archipelago::Settings,
}

/// A key that `{:?}` does not print.
#[derive(Clone)]
pub struct SigningKey(pub Key);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

/// Every wrong setting, one a line.
#[derive(Debug, thiserror::Error)]
#[error("the settings are wrong:\n  {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  "))]
pub(crate) struct InvalidSettings(pub(crate) Vec<SettingError>);

/// The settings of the databases alone, for a command that does not serve.
pub(crate) fn database_settings(
    vars: &impl Vars,
) -> Result<archipelago::Settings, InvalidSettings> {
    archipelago::Settings::from_vars::<Repos>(vars).map_err(InvalidSettings)
}

impl Settings {
    /// Reads all settings. The error lists everything that is wrong.
    pub fn from_vars(vars: &impl Vars) -> Result<Self, Vec<SettingError>> {
        let mut errors = Vec::new();
        let databases =
            archipelago::Settings::from_vars::<Repos>(vars).map_err(|found| errors.extend(found));
        let is_development = !is_on_fly(vars);
        let default_host = if is_development {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        };
        let mut parser = Parser { vars, errors };
        let host = parser.value(
            "HOST",
            default_host,
            "write an IP address, such as 127.0.0.1, 0.0.0.0 or ::",
        );
        let port = parser.value("PORT", 8080, "write a port number from 0 to 65535");
        let metrics_port =
            parser.value("METRICS_PORT", 9091, "write a port number from 0 to 65535");
        let log = parser.log_filter();
        let configured_key = parser.key(is_development);
        let is_key_temporary = configured_key.is_none();
        let key = SigningKey(configured_key.unwrap_or_else(Key::generate));
        match databases {
            Ok(databases) if parser.errors.is_empty() => Ok(Self {
                host,
                port,
                metrics_port,
                key,
                is_key_temporary,
                log,
                is_development,
                databases,
            }),
            _ => Err(parser.errors),
        }
    }

    /// The region of this instance; none if `FLY_REGION` is not set.
    pub(crate) fn region(&self) -> Option<&str> {
        Some(self.databases.region()).filter(|region| !region.is_empty())
    }
}

/// Reads one variable after the other, and collects what is wrong.
struct Parser<'a, V> {
    vars: &'a V,
    errors: Vec<SettingError>,
}

impl<V: Vars> Parser<'_, V> {
    fn text(&mut self, name: &str) -> Option<String> {
        match (self.vars)(name) {
            Ok(text) => Some(text).filter(|text| !text.is_empty()),
            Err(VarError::NotPresent) => None,
            Err(VarError::NotUnicode(_)) => {
                self.unusable(name, "it is not valid UTF-8: write it as text");
                None
            }
        }
    }

    fn value<T: FromStr>(&mut self, name: &str, default: T, advice: &str) -> T {
        let Some(text) = self.text(name) else { return default };
        text.trim().parse().unwrap_or_else(|_| {
            self.invalid(name, text, advice);
            default
        })
    }

    fn log_filter(&mut self) -> String {
        let filter = self.value("RUST_LOG", "info,actix_server=warn".to_owned(), "write text");
        if EnvFilter::try_new(&filter).is_err() {
            let advice = "write levels as tracing-subscriber has them, such as info or warn,archipelago=debug";
            self.invalid("RUST_LOG", filter.clone(), advice);
        }
        filter
    }

    /// The configured key. None if one must be made up, and also if the configured one is wrong.
    fn key(&mut self, is_development: bool) -> Option<Key> {
        match self.text("SECRET_KEY").map(|text| hex::decode(text.trim())) {
            Some(Ok(bytes)) if bytes.len() == 32 => return Some(Key::derive_from(&bytes)),
            Some(_) => self.unusable(
                "SECRET_KEY",
                "write 64 hex digits, as `openssl rand -hex 32` prints them",
            ),
            None if is_development => {}
            None => {
                let advice = "every instance must sign with the same key: fly secrets set SECRET_KEY=$(openssl rand -hex 32)";
                self.errors.push(SettingError::Missing {
                    name: "SECRET_KEY".to_owned(),
                    advice: advice.to_owned(),
                });
            }
        }
        None
    }

    fn invalid(&mut self, name: &str, value: String, advice: &str) {
        let (name, advice) = (name.to_owned(), advice.to_owned());
        self.errors.push(SettingError::Invalid { name, value, advice });
    }

    /// As [`invalid`](Self::invalid), for a value that cannot or must not be shown.
    fn unusable(&mut self, name: &str, advice: &str) {
        let (name, advice) = (name.to_owned(), advice.to_owned());
        self.errors.push(SettingError::Unusable { name, advice });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use expect_test::expect;

    use super::*;

    fn settings(vars: &[(&str, &str)]) -> Result<Settings, String> {
        let vars: HashMap<_, _> = vars.iter().copied().collect();
        let vars = |name: &str| vars.get(name).map(ToString::to_string).ok_or(VarError::NotPresent);
        Settings::from_vars(&vars)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn a_laptop_needs_one_url() {
        let settings = settings(&[("DATABASE_URL", "postgres://localhost/app")]).unwrap();
        assert_eq!(
            (settings.host.to_string().as_str(), settings.port, settings.metrics_port),
            ("127.0.0.1", 8080, 9091)
        );
        assert!(settings.is_development);
    }

    #[test]
    fn fly_needs_a_key_and_listens_everywhere() {
        let on_fly = [("DATABASE_URL", "postgres://db.internal/app"), ("FLY_APP_NAME", "users")];
        expect!["SECRET_KEY is not set; every instance must sign with the same key: fly secrets set SECRET_KEY=$(openssl rand -hex 32)"]
            .assert_eq(&settings(&on_fly).unwrap_err());
        let key = "0123456789abcdef".repeat(4);
        let settings = settings(&[on_fly[0], on_fly[1], ("SECRET_KEY", &key)]).unwrap();
        assert_eq!(settings.host.to_string(), "::");
        assert!(!settings.is_development);
        assert!(!format!("{settings:?}").contains(&key));
    }

    #[test]
    fn each_variable_and_its_default() {
        let url = ("DATABASE_URL", "postgres://localhost/app");
        let read = |name, value| settings(&[url, (name, value)]).expect("a valid setting");
        for (value, expected) in
            [("", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("::", "::"), (" ::1 ", "::1")]
        {
            assert_eq!(read("HOST", value).host.to_string(), expected, "HOST={value:?}");
        }
        for (value, expected) in [("", 8080), ("0", 0), (" 80 ", 80), ("65535", 65535)] {
            assert_eq!(read("PORT", value).port, expected, "PORT={value:?}");
        }
        for (value, expected) in [("", 9091), ("0", 0), ("65535", 65535)] {
            assert_eq!(
                read("METRICS_PORT", value).metrics_port,
                expected,
                "METRICS_PORT={value:?}"
            );
        }
        for (value, expected) in [("", "info,actix_server=warn"), ("debug", "debug")] {
            assert_eq!(read("RUST_LOG", value).log, expected, "RUST_LOG={value:?}");
        }
        for (value, expected) in [("", None), ("ord", Some("ord"))] {
            assert_eq!(read("FLY_REGION", value).region(), expected, "FLY_REGION={value:?}");
        }
        for (value, expected) in [("", true), (&*"5a".repeat(32), false)] {
            let is_temporary = read("SECRET_KEY", value).is_key_temporary;
            assert_eq!(is_temporary, expected, "SECRET_KEY={value:?}");
        }
    }

    #[test]
    fn a_key_is_64_hex_digits() {
        for wrong in ["5a", &"5a".repeat(31), &"5a".repeat(33), &"zz".repeat(32)] {
            let error =
                settings(&[("DATABASE_URL", "postgres://localhost"), ("SECRET_KEY", wrong)])
                    .expect_err(wrong);
            assert!(error.starts_with("SECRET_KEY cannot be used"), "{error}");
        }
    }

    #[test]
    fn everything_wrong_at_once_and_no_secret_shown() {
        let wrong = settings(&[
            ("DATABASE_URL", "postgres://u:hunter2@/app?sslmode=never"),
            ("POOL_SIZE", "0"),
            ("HOST", "localhost"),
            ("PORT", "80800"),
            ("METRICS_PORT", "x"),
            ("SECRET_KEY", "hunter3"),
            ("RUST_LOG", "archipelago=loud"),
        ]);
        expect![[r#"
            POOL_SIZE is `0`; write a number of connections from 1 to 1000
            DATABASE_URL is not a URL (empty host); write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded
            HOST is `localhost`; write an IP address, such as 127.0.0.1, 0.0.0.0 or ::
            PORT is `80800`; write a port number from 0 to 65535
            METRICS_PORT is `x`; write a port number from 0 to 65535
            RUST_LOG is `archipelago=loud`; write levels as tracing-subscriber has them, such as info or warn,archipelago=debug
            SECRET_KEY cannot be used; write 64 hex digits, as `openssl rand -hex 32` prints them"#]].assert_eq(&wrong.unwrap_err());
    }
}
