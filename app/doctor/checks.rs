//! Judges what was found: pure decisions.

use archipelago::{
    DownReason, Health, NoPrimary, RegionInfo, RegionSet, Role, SslMode, Writes, override_variable,
};

use super::database::{Reading, Server};
use super::finding::{Finding, Lines, Verdict};
use super::network::Network;
use crate::environment::{Vars, is_on_fly, is_set};
use crate::repos::Repos;
use crate::server::MONITORS;
use crate::settings::Settings;

/// By how many seconds a clock may be wrong before it is worth a warning. Upper bounds of lag compare
/// clocks, and so do log lines.
const CLOCK_ERROR: f64 = 1.0;

/// What was found at one server.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) info: &'static RegionInfo,
    pub(super) sslmode: Option<SslMode>,
    /// None for a socket.
    pub(super) network: Option<Network>,
    pub(super) server: Result<Server, DownReason>,
    pub(super) read: Option<Reading>,
}

impl Seen {
    /// A server that the settings leave out.
    pub(super) fn off(info: &'static RegionInfo) -> Self {
        let variable = info.url_env.map_or_else(|| override_variable(info.code), str::to_owned);
        let server = Err(DownReason::Off { variable });
        Self { info, sslmode: None, network: None, server, read: None }
    }
}

/// The program's own settings, and where its writes go.
pub(super) fn program(
    settings: &Settings,
    vars: &impl Vars,
    primary: Result<&str, NoPrimary>,
) -> Vec<Finding> {
    let lines = Lines(None);
    vec![
        match settings.region() {
            Some(region) => {
                lines.passed("FLY_REGION", format!("reads go to the replicas nearest to {region}"))
            }
            None => lines.warned(
                "FLY_REGION",
                "it is not set, so the primary serves the reads: set it to the region or place of this machine",
            ),
        },
        if is_set(vars, "PRIMARY_REGION") {
            lines.passed("PRIMARY_REGION", format!("it is {}, as in regions.toml", Repos::PRIMARY.region))
        } else if is_on_fly(vars) {
            lines.warned(
                "PRIMARY_REGION",
                "it is not set, so nothing tells whether fly.toml and regions.toml agree: \
                 set primary_region in fly.toml",
            )
        } else {
            lines.passed("PRIMARY_REGION", "not needed here: it is for Fly.io")
        },
        if settings.is_key_temporary {
            lines.warned(
                "SECRET_KEY",
                "it is not set: a restart, and every other instance, would refuse the cookies of \
                 this one; set it to the output of `openssl rand -hex 32`",
            )
        } else {
            lines.passed("SECRET_KEY", "it is set")
        },
        writes(settings, is_on_fly(vars), primary),
    ]
}

/// Who takes the writes, and whether they get there.
fn writes(settings: &Settings, is_on_fly: bool, primary: Result<&str, NoPrimary>) -> Finding {
    let lines = Lines(None);
    let primary = match primary {
        Ok(primary) => primary,
        Err(reason) => return lines.failed("writes", format!("no database takes them: {reason}")),
    };
    let is_far = settings.region().is_some_and(|region| region != primary);
    match (<Repos as RegionSet>::WRITES, is_far, is_on_fly) {
        (_, false, _) => lines.passed("writes", format!("{primary} takes them")),
        (Writes::Replay, true, true) => lines.passed(
            "writes",
            format!("Fly's proxy replays them in {primary}: an instance must run there"),
        ),
        (Writes::Replay, true, false) => lines.passed(
            "writes",
            format!(
                "they go to {primary} over the long line, unless a proxy in front sends fly-region \
                 and follows fly-replay"
            ),
        ),
        (_, true, _) => lines.passed("writes", format!("they go to {primary} over the long line")),
    }
}

/// One region: a line for each thing, until one fails that the others need.
pub(super) fn check(seen: &Seen, health: &Health, settings: &Settings) -> Vec<Finding> {
    let lines = Lines(Some(seen.info.code));
    if let Err(off @ DownReason::Off { .. }) = &seen.server {
        return vec![lines.warned("server", off)];
    }
    let mut findings = network(lines, seen.network.as_ref());
    if findings.iter().any(|finding| finding.verdict == Verdict::Failed) {
        return findings;
    }
    match &seen.server {
        Err(reason) => findings.push(lines.failed("login", login(seen.info, reason))),
        Ok(server) => {
            findings.push(
                lines.passed(
                    "login",
                    format!("PostgreSQL {} lets {} in", server.version, server.role),
                ),
            );
            findings.push(tls(lines, server, seen.sslmode));
            findings.push(rights(lines, seen.info, server, seen.read.as_ref()));
            findings.push(monitoring(lines, server));
            findings.extend(indexes(lines, server));
            findings.push(sessions(lines, server, settings.databases.pool_size()));
            findings.push(clock(lines, server));
            findings.extend(seen.read.as_ref().map(|read| guard(lines, read)));
            findings.push(role(lines, seen.info, server));
            findings.extend(follows(lines, server));
        }
    }
    findings.push(judgement(lines, health));
    findings.extend(lag(lines, health));
    findings
}

/// Why no session could be opened, and what to do.
fn login(info: &RegionInfo, reason: &DownReason) -> String {
    let own = info.url_env.map_or_else(|| override_variable(info.code), str::to_owned);
    let DownReason::Refused { sqlstate: Some(code), .. } = reason else {
        return format!("{reason}; the log of the server says why it opens no session");
    };
    let advice = match code.as_str() {
        "28000" | "28P01" => "mend the user or the password",
        "3D000" => "mend the name of the database",
        "53300" => "lower POOL_SIZE, or raise max_connections",
        "57P03" => "wait until it has started",
        _ => return reason.to_string(),
    };
    match code.get(..2) {
        Some("28" | "3D") => format!("{reason}: {advice} in {own}, or in DATABASE_URL"),
        _ => format!("{reason}: {advice}"),
    }
}

fn network(lines: Lines, network: Option<&Network>) -> Vec<Finding> {
    let Some(network) = network else {
        return vec![lines.passed("port", "a socket of this machine")];
    };
    if let Some(reason) = &network.unresolved {
        return vec![lines.failed(
            "name",
            format!("the host has no address ({reason}): mend the host of its URL, or the DNS of this machine"),
        )];
    }
    let all = network.addresses.len();
    let silent: Vec<_> = network
        .addresses
        .iter()
        .filter_map(|(address, reason)| Some(format!("{address}: {}", reason.as_ref()?)))
        .collect();
    let port = if silent.is_empty() {
        lines.passed("port", "each address answers")
    } else {
        let text = format!(
            "{} of {all} addresses without an answer ({}): is the server running, and does a firewall let this machine in?",
            silent.len(),
            silent.join("; ")
        );
        if silent.len() < all { lines.warned("port", text) } else { lines.failed("port", text) }
    };
    vec![
        lines.passed(
            "name",
            if all == 1 { "one address".to_owned() } else { format!("{all} addresses") },
        ),
        port,
    ]
}

fn tls(lines: Lines, server: &Server, sslmode: Option<SslMode>) -> Finding {
    let mode = sslmode.map(|mode| mode.to_string()).unwrap_or_default();
    match &server.tls {
        Some(version) => lines.passed("tls", format!("{version}, sslmode={mode}")),
        None => lines.warned(
            "tls",
            format!(
                "the session is not encrypted (sslmode={mode}): write sslmode=verify-full, \
                 unless the network is private"
            ),
        ),
    }
}

fn rights(lines: Lines, info: &RegionInfo, server: &Server, read: Option<&Reading>) -> Finding {
    let needs_writes = info.role == Role::Primary;
    let missing = match &server.missing_rights {
        None => {
            return lines.failed("rights", "there is no table users: run `archipelago migrate`");
        }
        Some(missing) if needs_writes => missing.join(", "),
        Some(_) => String::new(),
    };
    if !missing.is_empty() {
        let role = &server.role;
        return lines.failed(
            "rights",
            format!("{role} may not {missing}: GRANT {missing} ON users TO {role}"),
        );
    }
    match read {
        Some(Reading { role, may_read: Some(false), .. }) => lines.failed(
            "rights",
            format!("{role} may not read users: GRANT SELECT ON users TO {role}"),
        ),
        _ => lines.passed(
            "rights",
            if needs_writes { "may read and write users" } else { "may read users" },
        ),
    }
}

/// What the role may ask for the monitor.
fn monitoring(lines: Lines, server: &Server) -> Finding {
    let role = &server.role;
    if !server.denied_functions.is_empty() {
        let denied = server.denied_functions.join(", ");
        let grant = format!("GRANT EXECUTE ON FUNCTION {denied} TO {role}");
        return lines.warned(
            "monitoring",
            format!("{role} may not call {denied}, so less is known of this server: {grant}"),
        );
    }
    if !server.sees_statistics {
        return lines.warned(
            "monitoring",
            format!(
                "{role} may not see what replicas receive, so reads stay away from them for some \
                 minutes after a promotion: GRANT pg_read_all_stats TO {role}"
            ),
        );
    }
    lines.passed("monitoring", "the role may ask all that the monitor asks")
}

/// An index that is not valid costs each write, and serves no read.
fn indexes(lines: Lines, server: &Server) -> Option<Finding> {
    let invalid = server.invalid_indexes.join(", ");
    let is_to_mend = !server.is_replica && !invalid.is_empty();
    is_to_mend.then(|| {
        let advice = "REINDEX INDEX CONCURRENTLY, or drop it";
        lines.warned("indexes", format!("not valid, as their creation failed: {invalid}; {advice}"))
    })
}

/// What a replica follows.
fn follows(lines: Lines, server: &Server) -> Option<Finding> {
    let finding = match &server.sender {
        _ if server.is_paused => lines.warned(
            "follows",
            "its replay is paused, so it shows nothing newer: SELECT pg_wal_replay_resume()",
        ),
        Some(sender) => lines.passed("follows", format!("it receives the log from {sender}")),
        None if !server.sees_statistics => {
            lines.warned("follows", "not visible to its role: see `monitoring`")
        }
        None => lines.warned(
            "follows",
            "it receives no log: see primary_conninfo, the password and pg_hba.conf of its \
             primary, and its own log",
        ),
    };
    server.is_replica.then_some(finding)
}

fn sessions(lines: Lines, server: &Server, pool_size: u32) -> Finding {
    let needed = i32::try_from(pool_size as usize + MONITORS).unwrap_or(i32::MAX);
    let free = server.sessions_allowed.saturating_sub(server.sessions);
    let text = format!(
        "an instance opens up to {needed} sessions; {free} of {} are free",
        server.sessions_allowed
    );
    if needed > server.sessions_allowed {
        lines.failed("sessions", format!("{text}: lower POOL_SIZE, or raise max_connections"))
    } else if needed > free {
        lines.warned(
            "sessions",
            format!(
                "{text}: unless instances of this program hold the others, lower POOL_SIZE, \
                 or raise max_connections"
            ),
        )
    } else {
        lines.passed("sessions", text)
    }
}

fn clock(lines: Lines, server: &Server) -> Finding {
    let error = server.clock_error;
    if error.abs() < CLOCK_ERROR {
        return lines.passed("clock", "as this machine's");
    }
    let side = if error > 0.0 { "ahead of" } else { "behind" };
    lines.warned("clock", format!("{:.1} s {side} this machine's: run NTP on both", error.abs()))
}

fn guard(lines: Lines, read: &Reading) -> Finding {
    if read.is_guarded {
        lines.passed("read-only", format!("the reads of {} cannot write", read.role))
    } else {
        lines.failed(
            "read-only",
            format!(
                "the sessions of {} for reading may write: see ALTER ROLE … SET \
                 default_transaction_read_only, and poolers",
                read.role
            ),
        )
    }
}

/// A promotion changes roles rightly; the judgement tells whether one was.
fn role(lines: Lines, info: &RegionInfo, server: &Server) -> Finding {
    let found = if server.is_replica { Role::Replica } else { Role::Primary };
    if found == info.role {
        return lines.passed("role", format!("a {found}, as in regions.toml"));
    }
    lines.warned(
        "role",
        format!("a {found}, and regions.toml says {}: after a promotion, make `primary` there the new one", info.role),
    )
}

/// What the monitor of an instance says, which compares the servers with each other.
fn judgement(lines: Lines, health: &Health) -> Finding {
    match (&health.up, &health.down_reason) {
        (Some(true), _) => {
            let timeline = health.timeline.map(|timeline| format!(", on timeline {timeline}"));
            lines.passed("cluster", format!("it serves{}", timeline.unwrap_or_default()))
        }
        (_, Some(reason)) => lines.failed("cluster", reason),
        (_, None) => lines.failed("cluster", "it did not answer the monitor in time"),
    }
}

fn lag(lines: Lines, health: &Health) -> Option<Finding> {
    if health.up != Some(true) || health.role != Some(Role::Replica) {
        return None;
    }
    let most = <Repos as RegionSet>::MAX_LAG;
    Some(match health.lag {
        Some(lag) if lag <= most => lines.passed("lag", format!("at most {lag:.1?}, of {most:?}")),
        Some(lag) => lines.warned(
            "lag",
            format!(
                "up to {lag:.1?}, more than max_lag ({most:?}): the next nearest database serves its \
                 reads; see pg_stat_replication at the primary, and long queries here"
            ),
        ),
        None => lines.warned(
            "lag",
            "not known, so another database serves its reads: see `follows`",
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LINES: Lines = Lines(Some("ord"));

    fn server() -> Server {
        Server {
            role: "app".to_owned(),
            version: "15.1".to_owned(),
            is_replica: true,
            tls: None,
            sessions_allowed: 97,
            sessions: 10,
            missing_rights: Some(vec![]),
            denied_functions: vec![],
            sees_statistics: true,
            sender: Some("10.0.0.1:5432".to_owned()),
            is_paused: false,
            invalid_indexes: vec![],
            clock_error: 0.0,
        }
    }

    #[test]
    fn a_pool_has_to_fit_into_its_server() {
        for (pool_size, sessions, verdict) in [
            (10, 10, Verdict::Passed),
            (85, 10, Verdict::Passed),
            (86, 10, Verdict::Warned),
            (95, 0, Verdict::Passed),
            (96, 0, Verdict::Failed),
            (u32::MAX, 0, Verdict::Failed),
        ] {
            let found = super::sessions(LINES, &Server { sessions, ..server() }, pool_size);
            assert_eq!(found.verdict, verdict, "{}", found.text);
        }
    }

    #[test]
    fn a_server_needs_one_address_that_answers() {
        let address =
            |silent: bool| ("[::1]:5433".parse().unwrap(), silent.then(|| "refused".to_owned()));
        for (addresses, verdict) in [
            (vec![address(false)], Verdict::Passed),
            (vec![address(true), address(false)], Verdict::Warned),
            (vec![address(true), address(true)], Verdict::Failed),
        ] {
            let found = super::network(LINES, Some(&Network { addresses, unresolved: None }));
            assert_eq!(found[1].verdict, verdict, "{}", found[1].text);
        }
        let unresolved = Some("no such host".to_owned());
        let found = super::network(LINES, Some(&Network { addresses: vec![], unresolved }));
        assert_eq!((found.len(), found[0].verdict), (1, Verdict::Failed));
        assert_eq!(super::network(LINES, None)[0].verdict, Verdict::Passed);
    }

    #[test]
    fn a_lag_is_compared_with_max_lag() {
        let most = <Repos as RegionSet>::MAX_LAG;
        for (lag, verdict) in [
            (Some(Duration::ZERO), Verdict::Passed),
            (Some(most), Verdict::Passed),
            (Some(most + Duration::from_millis(1)), Verdict::Warned),
            (None, Verdict::Warned),
        ] {
            let mut health = Health::default();
            (health.up, health.role, health.lag) = (Some(true), Some(Role::Replica), lag);
            assert_eq!(super::lag(LINES, &health).unwrap().verdict, verdict, "{lag:?}");
        }
        assert_eq!(super::lag(LINES, &Health::default()), None, "it does not serve");
    }

    #[test]
    fn reads_that_may_write_and_missing_rights_fail() {
        let read = |is_guarded, may_read| Reading { role: "app".to_owned(), is_guarded, may_read };
        assert_eq!(guard(LINES, &read(true, None)).verdict, Verdict::Passed);
        assert_eq!(guard(LINES, &read(false, None)).verdict, Verdict::Failed);

        let primary = Repos::PRIMARY;
        let replica = Repos::REGIONS.iter().find(|info| info.role == Role::Replica).unwrap();
        let update = Some(vec!["UPDATE".to_owned()]);
        for (info, missing_rights, may_read, verdict) in [
            (primary, Some(vec![]), Some(true), Verdict::Passed),
            (primary, update.clone(), Some(true), Verdict::Failed),
            (primary, None, None, Verdict::Failed),
            (replica, update, Some(true), Verdict::Passed),
            (replica, Some(vec![]), Some(false), Verdict::Failed),
        ] {
            let server = Server { missing_rights, ..server() };
            let found = rights(LINES, info, &server, Some(&read(true, may_read)));
            assert_eq!(found.verdict, verdict, "{}: {}", info.code, found.text);
        }
    }
}
