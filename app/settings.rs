//! The settings of this instance, from environment variables. `archipelago::Settings` reads those
//! of the databases.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `HOST` | the address to listen on: 127.0.0.1, or `::` on Fly |
//! | `PORT` | the port of the pages: 8080 |
//! | `METRICS_PORT` | the port of `/metrics`, and of nothing else: 9091 |
//! | `SECRET_KEY` | 64 hex digits that sign the cookies; made up for a laptop, required on Fly. May be several, separated by commas: the first signs, all verify |
//! | `CHECK_MIGRATIONS` | `on`: a database that lacks one of the program's migrations serves no reads; or `off` |
//! | `RUST_LOG` | what to log, in `tracing-subscriber`'s syntax: `info,actix_server=warn` |
//! | `LOG_FORMAT` | `text`: lines for people; or `json`: one object per line |
//! | `OTEL_…` | where traces go, with the feature `otlp`: `traces` |
//! | `FLY_APP_NAME` | set by Fly: without it, this is a developer's machine |

use std::env::VarError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use archipelago::actix::{Key, Keys};
use archipelago::{SettingProblem, SettingsError};
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
    /// Sign the cookies.
    pub keys: Keys,
    /// Whether the key was made up at this start, because none was set.
    pub is_key_temporary: bool,
    /// Whether a database that lacks one of the program's migrations serves no reads.
    pub checks_migrations: bool,
    /// What to log, as `RUST_LOG` says.
    pub log: String,
    /// How each line of the log is written.
    pub log_format: LogFormat,
    /// Whether this is a developer's machine: there, `serve` runs the migrations itself.
    pub is_development: bool,
    /// The databases, and the region of this instance.
    pub databases: archipelago::Settings,
}

/// How each line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object, for programs.
    Json,
}

impl Settings {
    /// Reads all settings. The error lists everything that is wrong.
    pub fn from_vars(vars: &impl Vars) -> Result<Self, SettingsError> {
        let mut problems = Vec::new();
        let databases =
            archipelago::Settings::from_vars::<Repos>(vars).map_err(|found| problems.extend(found));
        let is_development = !is_on_fly(vars);
        let default_host = if is_development {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        };
        let mut parser = Parser { vars, problems };
        let host = parser.value(
            "HOST",
            default_host,
            "write an IP address, such as 127.0.0.1, 0.0.0.0 or ::",
        );
        let port = parser.value("PORT", 8080, "write a port number from 0 to 65535");
        let metrics_port =
            parser.value("METRICS_PORT", 9091, "write a port number from 0 to 65535");
        let log = parser.log_filter();
        let log_format = parser.log_format();
        let checks_migrations = parser.switch("CHECK_MIGRATIONS");
        let configured_keys = parser.keys(is_development);
        let is_key_temporary = configured_keys.is_none();
        let keys = configured_keys.unwrap_or_else(|| Keys::new(Key::generate()));
        match databases {
            Ok(databases) if parser.problems.is_empty() => Ok(Self {
                host,
                port,
                metrics_port,
                keys,
                is_key_temporary,
                checks_migrations,
                log,
                log_format,
                is_development,
                databases,
            }),
            _ => Err(parser.problems.into()),
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
    problems: Vec<SettingProblem>,
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

    fn log_format(&mut self) -> LogFormat {
        match self.text("LOG_FORMAT") {
            None => LogFormat::Text,
            Some(text) if text.trim() == "text" => LogFormat::Text,
            Some(text) if text.trim() == "json" => LogFormat::Json,
            Some(text) => {
                self.invalid("LOG_FORMAT", text, "write text or json");
                LogFormat::Text
            }
        }
    }

    /// A switch that is on unless it is set to `off`.
    fn switch(&mut self, name: &str) -> bool {
        match self.text(name) {
            None => true,
            Some(text) if text.trim() == "on" => true,
            Some(text) if text.trim() == "off" => false,
            Some(text) => {
                self.invalid(name, text, "write on or off");
                true
            }
        }
    }

    /// The configured keys. None if they must be made up, and also if they are wrong.
    fn keys(&mut self, is_development: bool) -> Option<Keys> {
        if is_development && self.text("SECRET_KEY").is_none() {
            return None;
        }
        Keys::from_vars(self.vars).map_err(|wrong| self.problems.extend(wrong)).ok()
    }

    fn invalid(&mut self, name: &str, value: String, advice: &str) {
        let (name, advice) = (name.to_owned(), advice.to_owned());
        self.problems.push(SettingProblem::Invalid { name, value, advice });
    }

    /// As [`invalid`](Self::invalid), for a value that cannot or must not be shown.
    fn unusable(&mut self, name: &str, advice: &str) {
        let (name, advice) = (name.to_owned(), advice.to_owned());
        self.problems.push(SettingProblem::Unusable { name, advice });
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
        Settings::from_vars(&vars).map_err(|wrong| {
            let problems = wrong.problems().iter().map(ToString::to_string);
            problems.collect::<Vec<_>>().join("\n")
        })
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
        expect!["SECRET_KEY is not set; every instance must sign with the same key: set it to 64 hex digits, as `openssl rand -hex 32` prints them"]
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
        for (value, expected) in
            [("", LogFormat::Text), ("text", LogFormat::Text), (" json ", LogFormat::Json)]
        {
            assert_eq!(read("LOG_FORMAT", value).log_format, expected, "LOG_FORMAT={value:?}");
        }
        for (value, expected) in [("", None), ("ord", Some("ord"))] {
            assert_eq!(read("FLY_REGION", value).region(), expected, "FLY_REGION={value:?}");
        }
        for (value, expected) in [("", true), ("on", true), ("off", false), (" off ", false)] {
            let checks = read("CHECK_MIGRATIONS", value).checks_migrations;
            assert_eq!(checks, expected, "CHECK_MIGRATIONS={value:?}");
        }
        for (value, expected) in [("", true), (&*"5a".repeat(32), false)] {
            let is_temporary = read("SECRET_KEY", value).is_key_temporary;
            assert_eq!(is_temporary, expected, "SECRET_KEY={value:?}");
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
            ("CHECK_MIGRATIONS", "maybe"),
            ("RUST_LOG", "archipelago=loud"),
            ("LOG_FORMAT", "xml"),
        ]);
        expect![[r#"
            POOL_SIZE is `0`; write a number of connections from 1 to 1000
            DATABASE_URL names no host; write postgres://USER:PASSWORD@HOST:PORT/DATABASE
            HOST is `localhost`; write an IP address, such as 127.0.0.1, 0.0.0.0 or ::
            PORT is `80800`; write a port number from 0 to 65535
            METRICS_PORT is `x`; write a port number from 0 to 65535
            RUST_LOG is `archipelago=loud`; write levels as tracing-subscriber has them, such as info or warn,archipelago=debug
            LOG_FORMAT is `xml`; write text or json
            CHECK_MIGRATIONS is `maybe`; write on or off
            SECRET_KEY cannot be used; write 64 hex digits, as `openssl rand -hex 32` prints them"#]].assert_eq(&wrong.unwrap_err());
    }
}
