//! libpq's parameters, the variables that stand in for them, and which of them are read here.
//!
//! The list is that of
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS>. One that is not
//! supported is refused by its name, so that no connection is less protected than psql's.

use super::UrlError;
use super::conninfo::Conninfo;

/// What becomes of a parameter.
#[derive(Clone, Copy)]
enum Use {
    /// It is read.
    Read,
    /// It changes nothing with one of these values, and is refused with another.
    Only(&'static [&'static str]),
    /// It matters only for what is refused itself.
    Unused,
    /// It is not supported.
    Refused,
}

use Use::{Only, Read, Refused, Unused};

/// The name, the variable that counts where the URL has no such parameter, and its use.
const PARAMETERS: &[(&str, &str, Use)] = &[
    ("host", "PGHOST", Read),
    ("hostaddr", "PGHOSTADDR", Read),
    ("port", "PGPORT", Read),
    ("dbname", "PGDATABASE", Read),
    ("user", "PGUSER", Read),
    ("password", "PGPASSWORD", Read),
    ("passfile", "PGPASSFILE", Read),
    ("application_name", "PGAPPNAME", Read),
    ("fallback_application_name", "", Read),
    ("channel_binding", "PGCHANNELBINDING", Read),
    // The variable is for programs that convert text, as psql does.
    ("client_encoding", "", Only(&["UTF8", "utf8", "UTF-8", "utf-8"])),
    ("connect_timeout", "PGCONNECT_TIMEOUT", Read),
    ("gssdelegation", "PGGSSDELEGATION", Only(&["0"])),
    ("gssencmode", "PGGSSENCMODE", Only(&["disable", "prefer"])),
    ("gsslib", "PGGSSLIB", Unused),
    ("keepalives", "", Read),
    ("keepalives_count", "", Read),
    ("keepalives_idle", "", Read),
    ("keepalives_interval", "", Read),
    ("krbsrvname", "PGKRBSRVNAME", Unused),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS", Read),
    ("max_protocol_version", "PGMAXPROTOCOLVERSION", Only(&["3.0", "latest"])),
    ("min_protocol_version", "PGMINPROTOCOLVERSION", Only(&["3.0"])),
    ("oauth_client_id", "", Refused),
    ("oauth_client_secret", "", Refused),
    ("oauth_issuer", "", Refused),
    ("oauth_scope", "", Refused),
    ("options", "PGOPTIONS", Read),
    ("replication", "", Refused),
    ("require_auth", "PGREQUIREAUTH", Refused),
    ("requirepeer", "PGREQUIREPEER", Refused),
    ("scram_client_key", "", Refused),
    ("scram_server_key", "", Refused),
    ("service", "PGSERVICE", Refused),
    ("servicefile", "PGSERVICEFILE", Unused),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", Read),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", Read),
    ("sslcert", "PGSSLCERT", Read),
    ("sslcertmode", "PGSSLCERTMODE", Only(&["allow", "disable"])),
    ("sslcompression", "PGSSLCOMPRESSION", Only(&["0", "1"])),
    ("sslcrl", "PGSSLCRL", Read),
    ("sslcrldir", "PGSSLCRLDIR", Read),
    ("sslkey", "PGSSLKEY", Read),
    ("sslkeylogfile", "", Refused),
    ("sslmode", "PGSSLMODE", Read),
    ("sslnegotiation", "PGSSLNEGOTIATION", Read),
    ("sslpassword", "", Read),
    ("sslrootcert", "PGSSLROOTCERT", Read),
    ("sslsni", "PGSSLSNI", Only(&["1"])),
    ("target_session_attrs", "PGTARGETSESSIONATTRS", Read),
    ("tcp_user_timeout", "", Read),
];

/// The names and the variables of the parameters that may come from the environment.
pub(super) fn variables() -> impl Iterator<Item = (&'static str, &'static str)> {
    let variables = PARAMETERS.iter().map(|(name, variable, _)| (*name, *variable));
    variables.filter(|(_, variable)| !variable.is_empty())
}

/// Fails with the first parameter that is unknown, or not supported.
pub(super) fn check(conninfo: &Conninfo) -> Result<(), UrlError> {
    for (name, value) in conninfo.pairs() {
        let known = PARAMETERS.iter().find(|(known, ..)| *known == name);
        let (name, variable, treated) = known.ok_or(UrlError::Unknown)?;
        // libpq takes it for none.
        if value.is_empty() {
            continue;
        }
        let allowed: &[&str] = match treated {
            Read | Unused => continue,
            Only(allowed) if allowed.contains(&value) => continue,
            Only(allowed) => allowed,
            Refused => &[],
        };
        return Err(UrlError::Unsupported { name, variable, allowed: allowed.join(" or ") });
    }
    Ok(())
}
