//! Starting, stopping and breaking a server.

use std::time::Duration;

use crate::LabError;
use crate::server::Server;

/// PostgreSQL counts milliseconds up to `i32::MAX`, a little more.
const LONGEST_LAG: Duration = Duration::from_hours(24 * 24);

impl Server {
    /// Starts the server again, on the same port. Returns when it accepts connections and, for a
    /// replica whose primary runs, when it streams and has replayed where the primary was. A replica
    /// that cannot follow its primary any more is made anew. A replica whose line to the primary is cut, or has a round
    /// trip of 20 seconds or more, does not stream before that is healed, and is not waited for. A running server is left
    /// alone.
    ///
    /// # Errors
    /// [`LabError::DidNotStart`] with the end of the server's log; [`LabError::PortTaken`]; [`LabError::NotCaughtUp`] of a
    /// replica that runs and has not caught up within a minute and ten round trips: it keeps its data, and goes on trying.
    pub async fn start(&self) -> Result<(), LabError> {
        self.machine.start().await
    }

    /// Stops the server as an operator would (fast: sessions end, the log is flushed and sent).
    /// Returns when it is gone; a server that does not obey within 20 seconds is killed.
    ///
    /// # Errors
    /// [`LabError::Shared`] in a test on shared servers.
    pub async fn stop(&self) -> Result<(), LabError> {
        self.breakable("stop a server")?.stop().await;
        Ok(())
    }

    /// Kills every process of the server at one moment: a crash. Connections break off without a word, and whether a
    /// commit that was under way has happened shows only after [`start`](Self::start), which recovers everything that
    /// was acknowledged. A stopped server is left alone.
    ///
    /// # Errors
    /// [`LabError::Shared`] in a test on shared servers.
    pub async fn kill(&self) -> Result<(), LabError> {
        self.breakable("kill a server")?.kill().await;
        Ok(())
    }

    /// Stops the clock of the server: all its processes stand still until [`thaw`](Self::thaw). To a client it is a
    /// machine that hangs: its connections stay open, queries and new connections wait, nothing is refused. Nothing is
    /// lost. [`stop`](Self::stop), [`kill`](Self::kill) and the end of the world work on a frozen server as on any other.
    ///
    /// A primary that is to [`stop`](Self::stop) waits for frozen replicas, as PostgreSQL does for all that are connected,
    /// and is killed after 20 seconds.
    ///
    /// # Errors
    /// [`LabError::Shared`]; [`LabError::NotRunning`]; [`LabError::TooSlow`] when a process does not stand still within ten seconds.
    pub async fn freeze(&self) -> Result<(), LabError> {
        self.breakable("freeze a server")?.freeze().await
    }

    /// Lets a frozen server go on where it was. One that is not frozen is left alone.
    ///
    /// # Errors
    /// None today: every process can be woken.
    pub async fn thaw(&self) -> Result<(), LabError> {
        self.machine.thaw().await;
        Ok(())
    }

    /// Whether the server is frozen.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.machine.is_frozen()
    }

    /// Holds back what this replica shows: each commit becomes visible this long after it was made on the primary, and
    /// [`Duration::ZERO`] shows at once what was held back. It works as soon as this returns, in whole milliseconds up
    /// to 24 days, and stays when the server stops and starts, until it is promoted. What is held back was received: a
    /// promotion loses none of it.
    ///
    /// # Errors
    /// [`LabError::Shared`]; [`LabError::NoReplica`]; [`LabError::LagTooLong`]; [`LabError::Frozen`]; when the server does not answer.
    pub async fn lag(&self, delay: Duration) -> Result<(), LabError> {
        self.breakable("hold back a replica")?;
        self.check_replica()?;
        if delay > LONGEST_LAG {
            return Err(LabError::LagTooLong { region: self.region().to_owned(), delay });
        }
        if self.is_frozen() {
            return Err(LabError::Frozen { region: self.region().to_owned() });
        }
        self.machine.set_lag(delay).await
    }
}
