//! What the environment says of this instance; `archipelago::Settings` reads what it says of the databases.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `HOST` | the address to listen on: 127.0.0.1, or `::` on Fly |
//! | `PORT` | the port of the pages: 8080 |
//! | `METRICS_PORT` | the port of `/metrics`, and of nothing else: 9091 |
//! | `SECRET_KEY` | 64 hex digits, which sign the cookies; made up for a laptop, required on Fly |
//! | `RUST_LOG` | what is logged, as `tracing-subscriber` has it: `info,actix_server=warn` |
//! | `FLY_APP_NAME` | set by Fly: this is no laptop |

use std::env::VarError;
use std::net::{IpAddr, Ipv4Addr};

use archipelago::SettingError;
use archipelago::actix::Key;
use tracing_subscriber::EnvFilter;

use crate::repos::Repos;

/// Reads a variable, as [`std::env::var`] does.
pub trait Vars: Fn(&str) -> Result<String, VarError> {}

impl<V: Fn(&str) -> Result<String, VarError>> Vars for V {}

/// Everything that the program was told.
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
    /// Whether the key is this process's own, and forgotten with it.
    pub is_key_made_up: bool,
    /// What is logged.
    pub log: String,
    /// Whether this is a developer's machine: `serve` migrates by itself there.
    pub development: bool,
    /// Where the databases are.
    pub databases: archipelago::Settings,
}

/// A key that is not shown.
#[derive(Clone)]
pub struct SigningKey(pub Key);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

impl Settings {
    /// What `vars` say.
    ///
    /// # Errors
    /// Everything that is wrong, in one list.
    pub fn from_vars(vars: &impl Vars) -> Result<Self, Vec<SettingError>> {
        let mut errors = Vec::new();
        let databases =
            archipelago::Settings::from_vars::<Repos>(vars).map_err(|found| errors.extend(found));
        let development = !is_on_fly(vars);
        let default_host = if development {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else {
            IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)
        };
        let mut parsed = Parsed { vars, errors };
        let host = parsed.value(
            "HOST",
            default_host,
            "write an IP address, such as 127.0.0.1, 0.0.0.0 or ::",
        );
        let port = parsed.value("PORT", 8080, "write a port number from 0 to 65535");
        let metrics_port =
            parsed.value("METRICS_PORT", 9091, "write a port number from 0 to 65535");
        let log: String =
            parsed.value("RUST_LOG", "info,actix_server=warn".to_owned(), "write text");
        if EnvFilter::try_new(&log).is_err() {
            let advice = "write levels as tracing-subscriber has them, such as info or warn,archipelago=debug".to_owned();
            parsed.errors.push(SettingError::Invalid {
                name: "RUST_LOG".to_owned(),
                value: log.clone(),
                advice,
            });
        }
        let given = parsed.key(development);
        let (is_key_made_up, key) =
            (given.is_none(), SigningKey(given.unwrap_or_else(Key::generate)));
        match databases {
            Ok(databases) if parsed.errors.is_empty() => Ok(Self {
                host,
                port,
                metrics_port,
                key,
                is_key_made_up,
                log,
                development,
                databases,
            }),
            _ => Err(parsed.errors),
        }
    }
}

/// Whether this runs on a machine of Fly's.
pub fn is_on_fly(vars: &impl Vars) -> bool {
    vars("FLY_APP_NAME").is_ok_and(|name| !name.is_empty())
}

struct Parsed<'a, V> {
    vars: &'a V,
    errors: Vec<SettingError>,
}

impl<V: Vars> Parsed<'_, V> {
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

    fn value<T: std::str::FromStr>(&mut self, name: &str, default: T, advice: &str) -> T {
        let Some(text) = self.text(name) else { return default };
        text.trim().parse().unwrap_or_else(|_| {
            self.errors.push(SettingError::Invalid {
                name: name.to_owned(),
                value: text,
                advice: advice.to_owned(),
            });
            default
        })
    }

    /// None where one has to be made up, and where what is there is wrong, which has been noted.
    fn key(&mut self, development: bool) -> Option<Key> {
        match self.text("SECRET_KEY").map(|text| hex::decode(text.trim())) {
            Some(Ok(bytes)) if bytes.len() == 32 => return Some(Key::derive_from(&bytes)),
            Some(_) => self.unusable(
                "SECRET_KEY",
                "write 64 hex digits, as `openssl rand -hex 32` prints them",
            ),
            None if development => {}
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

    fn unusable(&mut self, name: &str, advice: &str) {
        self.errors
            .push(SettingError::Unusable { name: name.to_owned(), advice: advice.to_owned() });
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
        assert!(settings.development);
    }

    #[test]
    fn fly_needs_a_key_and_listens_everywhere() {
        let on_fly = [("DATABASE_URL", "postgres://db.internal/app"), ("FLY_APP_NAME", "users")];
        expect!["SECRET_KEY is not set; every instance must sign with the same key: fly secrets set SECRET_KEY=$(openssl rand -hex 32)"]
            .assert_eq(&settings(&on_fly).unwrap_err());
        let key = "0123456789abcdef".repeat(4);
        let settings = settings(&[on_fly[0], on_fly[1], ("SECRET_KEY", &key)]).unwrap();
        assert_eq!(settings.host.to_string(), "::");
        assert!(!settings.development);
        assert!(!format!("{settings:?}").contains(&key));
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
