//! Starting, stopping, freezing and delaying a server.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::LabError;
use crate::passwords::APP;
use crate::server::Server;

/// For a server to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// PostgreSQL takes up to `i32::MAX` milliseconds, a little more than this.
const LONGEST_LAG: Duration = Duration::from_hours(24 * 24);

impl Server {
    /// Starts the server again, on the same port. Does nothing if it runs.
    ///
    /// Returns when the server accepts connections. If it is a replica whose primary runs, it
    /// streams by then, and has replayed the primary's position. A replica that cannot follow its
    /// primary any more gets a new copy of the data. While the link to the primary is cut, or its
    /// round trip takes 20 seconds or more, a replica cannot stream, and is not waited for.
    ///
    /// # Errors
    /// [`LabError::DidNotStart`] with the end of the server's log; [`LabError::PortTaken`];
    /// [`LabError::NotCaughtUp`] if a replica runs and has not caught up within a minute and ten
    /// round trips: it keeps its data, and goes on catching up.
    pub async fn start(&self) -> Result<(), LabError> {
        self.process.start().await
    }

    /// Stops the server in the mode `fast`: sessions end, and the log is flushed and sent. Returns
    /// when it has ended. A server that is still there after 20 seconds is killed.
    ///
    /// # Errors
    /// [`LabError::SharedServers`] in a test on shared servers.
    pub async fn stop(&self) -> Result<(), LabError> {
        self.not_shared("stop a server")?.stop().await;
        Ok(())
    }

    /// Kills every process of the server at once, as a crash would. Does nothing if it is stopped.
    ///
    /// Connections break without a message. [`start`](Self::start) recovers every acknowledged
    /// commit, and only then shows whether a commit that was under way has happened.
    ///
    /// # Errors
    /// [`LabError::SharedServers`] in a test on shared servers.
    pub async fn kill(&self) -> Result<(), LabError> {
        self.not_shared("kill a server")?.kill().await;
        Ok(())
    }

    /// Freezes the server: all its processes stand still until [`thaw`](Self::thaw).
    ///
    /// To a client the machine hangs: connections stay open, queries and new connections wait,
    /// nothing is refused and nothing is lost. [`stop`](Self::stop), [`kill`](Self::kill) and the
    /// end of the world work on a frozen server as on any other.
    ///
    /// A primary that is to [`stop`](Self::stop) waits for all connected replicas, frozen ones
    /// included, and is killed after 20 seconds.
    ///
    /// # Errors
    /// [`LabError::SharedServers`]; [`LabError::NotRunning`]; [`LabError::TimedOut`] if a process
    /// does not stand still within ten seconds.
    pub async fn freeze(&self) -> Result<(), LabError> {
        self.not_shared("freeze a server")?.freeze().await
    }

    /// Lets a frozen server continue where it was. Does nothing if it is not frozen.
    ///
    /// # Errors
    /// None today: every process can be woken.
    pub async fn thaw(&self) -> Result<(), LabError> {
        self.process.thaw().await;
        Ok(())
    }

    /// Whether the server is frozen.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.process.is_frozen()
    }

    /// Restarts this replica writable, as if its `standby.signal` were lost: a second primary on the
    /// same timeline, which goes on from what it has replayed. It follows no primary until
    /// [`World::rejoin`](crate::World::rejoin), which copies the primary's data.
    ///
    /// # Errors
    /// [`LabError::SharedServers`]; [`LabError::NotAReplica`]; [`LabError::DidNotStart`].
    pub async fn start_writable(&self) -> Result<(), LabError> {
        self.not_shared("make a replica writable")?;
        self.check_replica()?;
        self.process.start_writable().await
    }

    /// Restarts the server with a clock that is so many seconds ahead, or behind if negative, by
    /// libfaketime. It outlasts restarts until it is set to 0.
    ///
    /// # Errors
    /// [`LabError::SharedServers`]; [`LabError::NoFakeClock`] where libfaketime is not installed;
    /// those of [`start`](Self::start).
    pub async fn set_clock(&self, seconds: i64) -> Result<(), LabError> {
        let process = self.not_shared("change the clock of a server")?;
        process.store_clock(seconds)?;
        process.stop().await;
        process.start().await
    }

    /// Lets one connection to this server vanish, as when a firewall forgets it: what either end
    /// sends on it is lost, its end too, and all other connections work. It is the one from this
    /// place, of the role `app`, that ran a query last. False if there is none.
    ///
    /// The server keeps its side of it until it stops.
    ///
    /// # Errors
    /// [`LabError::SharedServers`]; if the server does not answer.
    pub async fn blackhole_one(&self, from: &str) -> Result<bool, LabError> {
        let doing = "list its sessions";
        let process = self.not_shared("let a connection vanish")?;
        let sessions = "SELECT client_port FROM pg_stat_activity \
            WHERE usename = $1 AND client_port > 0 ORDER BY query_start DESC NULLS LAST";
        let session = process.session(doing).await?;
        let ports = process.within(ANSWER, doing, session.query(sessions, &[&APP])).await?;
        let ports = ports.iter().filter_map(|row| u16::try_from(row.get::<_, i32>(0)).ok());
        let (links, target) = (&process.context.links, self.address());
        let vanished =
            |port: u16| links.blackhole(from, (Ipv4Addr::LOCALHOST, port).into(), target);
        Ok(ports.into_iter().any(vanished))
    }

    /// Delays this replica: it replays each commit this long after the primary made it.
    /// [`Duration::ZERO`] ends the delay, and the replica replays at once what it held back.
    ///
    /// The delay counts in whole milliseconds, up to 24 days. It applies once this returns, and
    /// outlasts restarts until a promotion. The replica still receives everything, so a promotion
    /// loses nothing.
    ///
    /// # Errors
    /// [`LabError::SharedServers`]; [`LabError::NotAReplica`]; [`LabError::LagTooLong`];
    /// [`LabError::Frozen`]; if the server does not answer.
    pub async fn lag(&self, delay: Duration) -> Result<(), LabError> {
        self.not_shared("hold back a replica")?;
        self.check_replica()?;
        if delay > LONGEST_LAG {
            return Err(LabError::LagTooLong { region: self.region().to_owned(), delay });
        }
        if self.is_frozen() {
            return Err(LabError::Frozen { region: self.region().to_owned() });
        }
        self.process.set_lag(delay).await
    }
}
