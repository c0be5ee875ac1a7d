//! Carries out commands: each has a method that does its work.

use std::time::Duration;

use crate::LabError;
use crate::command::{Command, CommandOutput, ServerUrl};
use crate::server::Server;
use crate::server_process::Role;
use crate::world::World;

impl World {
    /// Carries out a command, and returns when the method behind it does.
    ///
    /// # Errors
    /// [`LabError::UnknownRegion`]; [`LabError::SamePlace`]; [`LabError::Frozen`], also for `Start`
    /// of a frozen server; the errors of the method.
    pub async fn execute(&self, command: Command) -> Result<CommandOutput, LabError> {
        let done = match command {
            Command::Status => return Ok(CommandOutput::Status(self.status().await)),
            Command::Urls { from } => return self.urls(from.as_deref()).map(CommandOutput::Urls),
            Command::Cut { a, b } => {
                self.check_link(&a, &b)?;
                self.links().cut(&a, &b)?;
                format!("nothing passes between {a} and {b}")
            }
            Command::Heal { a, b } => {
                self.check_link(&a, &b)?;
                self.links().heal(&a, &b);
                let round_trip = in_ms(self.links().round_trip(&a, &b));
                format!("the link between {a} and {b} is whole, with a round trip of {round_trip}")
            }
            Command::Slow { a, b, round_trip } => {
                self.check_link(&a, &b)?;
                self.links().slow(&a, &b, round_trip)?;
                format!("a round trip between {a} and {b} takes {}", in_ms(round_trip))
            }
            Command::Stop { region } => {
                self.required_server(&region)?.stop().await?;
                format!("{region} is stopped")
            }
            Command::Kill { region } => {
                let server = self.required_server(&region)?;
                let was_running = server.is_running();
                server.kill().await?;
                if was_running {
                    format!("{region} has crashed")
                } else {
                    format!("{region} was not running")
                }
            }
            Command::Freeze { region } => {
                self.required_server(&region)?.freeze().await?;
                format!("{region} is frozen")
            }
            Command::Thaw { region } => {
                let server = self.required_server(&region)?;
                let was_frozen = server.is_frozen();
                server.thaw().await?;
                if was_frozen {
                    format!("{region} goes on{}", self.split_brain())
                } else {
                    format!("{region} was not frozen")
                }
            }
            Command::Start { region } => {
                let server = self.required_server(&region)?;
                server.start().await?;
                if server.is_frozen() {
                    return Err(LabError::Frozen { region });
                }
                format!("{region} runs{}", self.split_brain())
            }
            Command::Pause { region } => {
                self.required_server(&region)?.pause_replay().await?;
                format!("{region} receives, and shows nothing newer")
            }
            Command::Resume { region } => {
                self.required_server(&region)?.resume_replay().await?;
                format!("{region} replays again")
            }
            Command::Lag { region, delay } if delay.is_zero() => {
                self.required_server(&region)?.lag(delay).await?;
                format!("{region} holds nothing back")
            }
            Command::Lag { region, delay } => {
                self.required_server(&region)?.lag(delay).await?;
                format!("{region} shows each commit {delay:?} after it was made")
            }
            Command::Promote { region, leave_old_running: true } => {
                self.promote(&region).await?.to_string()
            }
            Command::Promote { region, leave_old_running: false } => {
                self.switch_over(&region).await?.to_string()
            }
            Command::Rejoin { region } => {
                let how = self.rejoin(&region).await?;
                format!("{region} follows {}, {how}", self.primary().region())
            }
        };
        Ok(CommandOutput::Done(done))
    }

    /// A warning if more than one server takes writes.
    fn split_brain(&self) -> String {
        let takes_writes = |server: &&Server| {
            server.role() == Role::Primary && server.is_running() && !server.is_frozen()
        };
        let primaries: Vec<_> = self.servers().filter(takes_writes).map(Server::region).collect();
        if primaries.len() < 2 {
            return String::new();
        }
        let newest = self.primary().region();
        format!(
            "; {} take writes now, a split brain: `rejoin` makes a replica of each but {newest}",
            primaries.join(" and ")
        )
    }

    fn urls(&self, from: Option<&str>) -> Result<Vec<ServerUrl>, LabError> {
        from.map_or(Ok(()), |place| self.check_place(place))?;
        let servers = self.servers().map(|server| {
            let url = from.map_or_else(|| Ok(server.url()), |place| server.url_from(place))?;
            Ok(ServerUrl { region: server.region().to_owned(), role: server.role(), url })
        });
        servers.collect()
    }

    fn check_link(&self, a: &str, b: &str) -> Result<(), LabError> {
        self.check_place(a)?;
        self.check_place(b)?;
        if a == b { Err(LabError::SamePlace { place: a.to_owned() }) } else { Ok(()) }
    }

    /// Refuses an unknown place, which is likely a typo. A link may lead to any place.
    fn check_place(&self, place: &str) -> Result<(), LabError> {
        if self.links().knows(place) { Ok(()) } else { self.required_server(place).map(drop) }
    }
}

fn in_ms(round_trip: Duration) -> String {
    format!("{:.1} ms", round_trip.as_secs_f64() * 1000.0)
}
