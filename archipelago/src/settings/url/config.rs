//! What tokio-postgres is told of a URL's parameters, and the servers that they name.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, Host, LoadBalanceHosts, SslNegotiation};

use super::conninfo::Conninfo;
use super::{TargetSession, UrlError, UrlServer};
use crate::settings::tls::SslMode;

/// PostgreSQL's port.
const PORT: u16 = 5432;

/// The servers, in the order in which they are tried: one at least.
pub(super) fn servers(conninfo: &Conninfo) -> Result<Vec<UrlServer>, UrlError> {
    let list = |name| {
        let list = conninfo.get(name).filter(|list| !list.is_empty());
        list.map_or_else(Vec::new, |list| list.split(',').collect())
    };
    let (hosts, addresses, ports): (Vec<_>, Vec<_>, Vec<_>) =
        (list("host"), list("hostaddr"), list("port"));
    let count = hosts.len().max(addresses.len());
    if count == 0 {
        return Err(UrlError::NoHost);
    }
    if hosts.len() * addresses.len() > 0 && hosts.len() != addresses.len() {
        return Err(UrlError::Uneven("hostaddr"));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(UrlError::Uneven("port"));
    }
    let ports = ports.iter().map(|port| parsed_port(port)).collect::<Result<Vec<_>, _>>()?;
    let server = |index: usize| {
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(PORT);
        let [host, address] = [&hosts, &addresses]
            .map(|list| list.get(index).copied().filter(|entry: &&str| !entry.is_empty()));
        let address = address.map(|text| parsed::<IpAddr>("hostaddr", text, "IP addresses"));
        let address = address.transpose()?.map(|address| address.to_string());
        let name = host.map(str::to_owned).or_else(|| address.clone()).ok_or(UrlError::NoHost)?;
        #[cfg(unix)]
        if name.starts_with('/') && address.is_none() {
            return Ok(UrlServer { host: Host::Unix(name.clone().into()), name, port });
        }
        if name.starts_with('@') {
            return Err(wrong("host", "a host, an address, or the folder of a socket"));
        }
        Ok(UrlServer { host: Host::Tcp(address.unwrap_or_else(|| name.clone())), name, port })
    };
    (0..count).map(server).collect()
}

/// All but the servers and the files of TLS.
pub(super) fn config(conninfo: &Conninfo, sslmode: SslMode) -> Result<Config, UrlError> {
    let mut config = Config::new();
    config.ssl_mode(sslmode.negotiation());
    for (name, value) in conninfo.iter() {
        set(&mut config, name, value, sslmode)?;
    }
    if config.get_application_name().is_none()
        && let Some(name) = conninfo.get("fallback_application_name")
    {
        config.application_name(name);
    }
    Ok(config)
}

fn set(config: &mut Config, name: &str, value: &str, sslmode: SslMode) -> Result<(), UrlError> {
    match name {
        "user" => config.user(value),
        "password" => config.password(value),
        "dbname" => config.dbname(value),
        "options" => config.options(value),
        "application_name" => config.application_name(value),
        "connect_timeout" => match above_zero("connect_timeout", value)? {
            Some(limit) => config.connect_timeout(Duration::from_secs(limit)),
            None => config,
        },
        "tcp_user_timeout" => match above_zero("tcp_user_timeout", value)? {
            Some(limit) => config.tcp_user_timeout(Duration::from_millis(limit)),
            None => config,
        },
        "keepalives" => config.keepalives(parsed::<i64>("keepalives", value, "0 or 1")? != 0),
        "keepalives_idle" => match above_zero("keepalives_idle", value)? {
            Some(idle) => config.keepalives_idle(Duration::from_secs(idle)),
            None => config,
        },
        "keepalives_interval" => match above_zero("keepalives_interval", value)? {
            Some(interval) => config.keepalives_interval(Duration::from_secs(interval)),
            None => config,
        },
        "keepalives_count" => match above_zero("keepalives_count", value)? {
            Some(count) => config.keepalives_retries(u32::try_from(count).unwrap_or(u32::MAX)),
            None => config,
        },
        "channel_binding" => config.channel_binding(match value {
            "disable" => ChannelBinding::Disable,
            "prefer" => ChannelBinding::Prefer,
            "require" => ChannelBinding::Require,
            _ => return Err(wrong("channel_binding", "disable, prefer or require")),
        }),
        "load_balance_hosts" => config.load_balance_hosts(match value {
            "disable" => LoadBalanceHosts::Disable,
            "random" => LoadBalanceHosts::Random,
            _ => return Err(wrong("load_balance_hosts", "disable or random")),
        }),
        "sslnegotiation" => config.ssl_negotiation(match value {
            "postgres" => SslNegotiation::Postgres,
            // As libpq: a server that is asked so does not say that it has no TLS.
            "direct" if matches!(sslmode, SslMode::Disable | SslMode::Prefer) => {
                return Err(wrong("sslnegotiation", "direct with sslmode=require or more"));
            }
            "direct" => SslNegotiation::Direct,
            _ => return Err(wrong("sslnegotiation", "postgres or direct")),
        }),
        _ => config,
    };
    Ok(())
}

/// `target_session_attrs`.
pub(super) fn target_session(conninfo: &Conninfo) -> Result<TargetSession, UrlError> {
    Ok(match conninfo.get("target_session_attrs").unwrap_or_default() {
        "" | "any" => TargetSession::Any,
        "read-write" => TargetSession::ReadWrite,
        "read-only" => TargetSession::ReadOnly,
        "primary" => TargetSession::Primary,
        "standby" => TargetSession::Standby,
        "prefer-standby" => TargetSession::PreferStandby,
        _ => {
            let advice = "any, read-write, read-only, primary, standby or prefer-standby";
            return Err(wrong("target_session_attrs", advice));
        }
    })
}

/// A port of a list. libpq takes an empty one for its default.
fn parsed_port(text: &str) -> Result<u16, UrlError> {
    if text.is_empty() {
        return Ok(PORT);
    }
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| wrong("port", "numbers of 1 to 65535"))
}

/// None for 0 and less: the system's own value counts.
fn above_zero(name: &'static str, text: &str) -> Result<Option<u64>, UrlError> {
    let number = parsed::<i64>(name, text, "a whole number")?;
    Ok(u64::try_from(number).ok().filter(|number| *number > 0))
}

fn parsed<T: FromStr>(name: &'static str, text: &str, advice: &'static str) -> Result<T, UrlError> {
    text.trim().parse().map_err(|_| wrong(name, advice))
}

fn wrong(name: &'static str, advice: &'static str) -> UrlError {
    UrlError::Value { name, advice }
}
