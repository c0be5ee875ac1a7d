//! The configuration of a server. It is written anew at every start and change, whole: ports change.

use std::fmt::Write;
use std::net::Ipv4Addr;

use crate::LabError;
use crate::machine::{Machine, Upstream};
use crate::secrets::REPLICATOR;

/// The same for all servers. `pg_rewind` needs `wal_log_hints`, and `full_page_writes` left on. A replica refuses to run with fewer connections, senders or workers
/// than its primary has, or had: so these numbers do not depend on the number of regions.
const COMMON: &str = "\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
password_encryption = 'scram-sha-256'

max_connections = 200
max_wal_senders = 100
shared_buffers = '16MB'
max_wal_size = '256MB'
jit = off

wal_level = replica
wal_log_hints = on
wal_keep_size = '256MB'
hot_standby = on
hot_standby_feedback = on
wal_receiver_status_interval = '1s'
wal_retrieve_retry_interval = '100ms'

timezone = 'UTC'
lc_messages = 'C'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
";

/// A temporary world is never read after a crash.
const TEMPORARY: &str = "
fsync = off
";

/// Passwords for everybody, and nobody from outside this machine.
const ACCESS: &str = "\
# TYPE  DATABASE     USER        ADDRESS       METHOD
host    all          all         127.0.0.1/32  scram-sha-256
host    replication  replicator  127.0.0.1/32  scram-sha-256
";

/// In the data folder, which is where a server runs: the password that it shows its primary. Among the settings a server
/// would log it at every change of them.
const PASSFILE: &str = "replicator.pgpass";

/// Writes all that a server reads at its start.
pub(crate) fn write(machine: &Machine) -> Result<(), LabError> {
    let (data, place) = (machine.data(), &machine.site.place);
    let mut settings = COMMON.to_owned();
    if place.sweeper.is_some() {
        settings.push_str(TEMPORARY);
    }
    // Shown by `ps`, and by pg_stat_replication as the application's name.
    let _ = writeln!(settings, "\ncluster_name = '{}'", machine.region);
    if let Some(upstream) = machine.upstream() {
        let _ = writeln!(settings, "primary_conninfo = '{}'", conninfo(machine, &upstream)?);
        let _ = writeln!(settings, "recovery_min_apply_delay = {}", machine.lag().as_millis());
        let password = &machine.site.secrets.replicator;
        place.write_private(
            &data.join(PASSFILE),
            &format!("127.0.0.1:*:*:{REPLICATOR}:{password}\n"),
        )?;
        place.write_private(&data.join("standby.signal"), "")?;
    }
    place.write_private(&data.join("postgresql.conf"), &settings)?;
    place.write_private(&data.join("pg_hba.conf"), ACCESS)
}

/// The way to the primary: along the line from here to there.
fn conninfo(machine: &Machine, upstream: &Upstream) -> Result<String, LabError> {
    let lines = &machine.site.lines;
    let primary = (Ipv4Addr::LOCALHOST, upstream.port).into();
    let port = lines.proxy(&machine.region, &upstream.region, primary)?.port();
    Ok(format!(
        "host=127.0.0.1 port={port} user={REPLICATOR} passfile={PASSFILE} sslmode=disable gssencmode=disable"
    ))
}
