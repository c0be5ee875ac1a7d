//! From a command to the method that does it.

use crate::command::{Answer, Command, ServerUrl};
use crate::{LabError, World};

impl World {
    /// Does what a command says. Returns when it is done, as the method behind it does.
    ///
    /// # Errors
    /// [`LabError::UnknownRegion`], and those of the method.
    pub async fn obey(&self, command: Command) -> Result<Answer, LabError> {
        let done = match command {
            Command::Status => return Ok(Answer::Status(self.status().await)),
            Command::Urls { from } => return self.urls(from.as_deref()).map(Answer::Urls),
            Command::Cut { a, b } => {
                self.check_line(&a, &b)?;
                self.lines().cut(&a, &b)?;
                format!("nothing passes between {a} and {b}")
            }
            Command::Heal { a, b } => {
                self.check_line(&a, &b)?;
                self.lines().heal(&a, &b);
                let round_trip = self.lines().round_trip(&a, &b).as_secs_f64() * 1000.0;
                format!("the line between {a} and {b} is whole, with a round trip of {round_trip:.1} ms")
            }
            Command::Slow { a, b, round_trip } => {
                self.check_line(&a, &b)?;
                self.lines().slow(&a, &b, round_trip)?;
                format!("a round trip between {a} and {b} takes {round_trip:?}")
            }
            Command::Stop { region } => {
                self.known(&region)?.stop().await?;
                format!("{region} is stopped")
            }
            Command::Kill { region } => {
                self.known(&region)?.kill().await?;
                format!("{region} has crashed")
            }
            Command::Freeze { region } => {
                self.known(&region)?.freeze().await?;
                format!("{region} is frozen")
            }
            Command::Thaw { region } => {
                self.known(&region)?.thaw().await?;
                format!("{region} goes on")
            }
            Command::Start { region } => {
                self.known(&region)?.start().await?;
                format!("{region} runs")
            }
            Command::Pause { region } => {
                self.known(&region)?.pause_replay().await?;
                format!("{region} receives, and shows nothing newer")
            }
            Command::Resume { region } => {
                self.known(&region)?.resume_replay().await?;
                format!("{region} replays again")
            }
            Command::Lag { region, delay } if delay.is_zero() => {
                self.known(&region)?.lag(delay).await?;
                format!("{region} holds nothing back")
            }
            Command::Lag { region, delay } => {
                self.known(&region)?.lag(delay).await?;
                format!("{region} shows each commit {delay:?} after it was made")
            }
            Command::Promote { region, leave_old_running: true } => self.promote(&region).await?.to_string(),
            Command::Promote { region, leave_old_running: false } => self.switch_over(&region).await?.to_string(),
            Command::Rejoin { region } => {
                let how = self.rejoin(&region).await?;
                format!("{region} follows {}, {how}", self.primary().region())
            }
        };
        Ok(Answer::Done(done))
    }

    fn urls(&self, from: Option<&str>) -> Result<Vec<ServerUrl>, LabError> {
        let servers = self.servers().map(|server| {
            let url = from.map_or_else(|| Ok(server.url()), |place| server.url_from(place))?;
            Ok(ServerUrl { region: server.region().to_owned(), role: server.role(), url })
        });
        servers.collect()
    }

    /// A line may end in any place, but a name that no server has at either end is a slip.
    fn check_line(&self, a: &str, b: &str) -> Result<(), LabError> {
        let has_server = |place| self.server(place).is_some();
        let is_place = |place| has_server(place) || self.lines().knows(place);
        match [a, b].into_iter().find(|place| !is_place(place)) {
            Some(unknown) => self.known(unknown).map(drop),
            None => Ok(()),
        }
    }
}
