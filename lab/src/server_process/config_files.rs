//! The configuration files of a server, written whole at every start and change, as ports change.

use std::fmt::Write;
use std::net::Ipv4Addr;

use crate::LabError;
use crate::passwords::REPLICATOR;
use crate::server_process::{ServerProcess, Upstream};

/// The settings of all servers. `pg_rewind` needs `wal_log_hints`, and `full_page_writes`, which is
/// on by default. A replica must allow as many connections, senders and workers as its primary does
/// or did, so these numbers do not depend on the number of regions.
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

/// The data of a temporary world is never read after a crash of the machine.
const TEMPORARY: &str = "
fsync = off
";

/// Lets in every role with its password, from this machine only.
const ACCESS: &str = "\
# TYPE  DATABASE     USER        ADDRESS       METHOD
host    all          all         127.0.0.1/32  scram-sha-256
host    replication  replicator  127.0.0.1/32  scram-sha-256
";

/// The file with the replicator's password, in the data folder, which is a server's working
/// directory. A server logs its settings whenever they change, so the password is not one of them.
const PASSFILE: &str = "replicator.pgpass";

impl ServerProcess {
    /// Writes all files that the server reads at its start.
    pub(super) fn write_config_files(&self) -> Result<(), LabError> {
        let (data, dir) = (self.data(), &self.context.dir);
        let mut settings = COMMON.to_owned();
        if dir.is_temporary() {
            settings.push_str(TEMPORARY);
        }
        // `ps` shows it, and pg_stat_replication as the application's name.
        let _ = writeln!(settings, "\ncluster_name = '{}'", self.region);
        if let Some(upstream) = self.upstream() {
            let _ = writeln!(settings, "primary_conninfo = '{}'", self.conninfo(&upstream)?);
            let _ = writeln!(settings, "recovery_min_apply_delay = {}", self.lag().as_millis());
            let password = &self.context.passwords.replicator;
            dir.write_private(
                &data.join(PASSFILE),
                &format!("127.0.0.1:*:*:{REPLICATOR}:{password}\n"),
            )?;
            dir.write_private(&data.join("standby.signal"), "")?;
        }
        dir.write_private(&data.join("postgresql.conf"), &settings)?;
        dir.write_private(&data.join("pg_hba.conf"), ACCESS)
    }

    /// How a replica connects to its primary: over the link between the two.
    fn conninfo(&self, upstream: &Upstream) -> Result<String, LabError> {
        let links = &self.context.links;
        let primary = (Ipv4Addr::LOCALHOST, upstream.port).into();
        let port = links.proxy(&self.region, &upstream.region, primary)?.port();
        Ok(format!(
            "host=127.0.0.1 port={port} user={REPLICATOR} passfile={PASSFILE} sslmode=disable gssencmode=disable"
        ))
    }
}
