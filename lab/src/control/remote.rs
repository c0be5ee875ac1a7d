//! A world that another process runs, for whoever may read its folder.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::control::contact::Contact;
use crate::control::{Reply, Request};
use crate::{Command, CommandOutput, ServerUrl, lock};

/// For the answer to a question.
const TO_A_QUESTION: Duration = Duration::from_secs(30);

/// For anything else, which may wait for commands before it: the longest, a rejoin, takes a quarter of an hour at the worst.
const TO_A_COMMAND: Duration = Duration::from_mins(30);

/// A running world of another process, found by its [folder](crate::Builder::folder).
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use archipelago_lab::{Command, Remote};
///
/// let lab = Remote::find(".lab")?;
/// println!("{}", lab.send(&Command::Freeze { region: "ord".to_owned() }).await?);
/// for server in lab.urls(Some("lhr")).await? {
///     println!("{} {}: {}", server.role, server.region, server.url);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Remote {
    folder: PathBuf,
    contact: Contact,
}

/// Why a running world could not be told something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// Nobody answers.
    #[error("no lab is running in {}: start one there, or name the folder of one that runs", folder.display())]
    NoLab {
        /// The folder that was looked into.
        folder: PathBuf,
    },
    /// The file that leads to the world cannot be read.
    #[error("cannot read {}: {source}; a lab obeys the user that started it", file.display())]
    Contact {
        /// The file.
        file: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The connection ended before the answer came.
    #[error("the lab in {} ended before it answered: {source}", folder.display())]
    Ended {
        /// The folder of the world.
        folder: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The process of the world is there, and says nothing.
    #[error(
        "the lab in {} has not answered within {waited:?}: see whether its process stands still; what it was told it may yet do",
        folder.display()
    )]
    Silent {
        /// The folder of the world.
        folder: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// The world did not do it; the message is that of its [`LabError`](crate::LabError).
    #[error("{message}")]
    Refused {
        /// What is wrong, and what to do about it.
        message: String,
    },
}

impl Remote {
    /// The world that runs in this folder.
    ///
    /// # Errors
    /// [`RemoteError::NoLab`], also while it is about to start; [`RemoteError::Contact`].
    pub fn find(folder: impl AsRef<Path>) -> Result<Self, RemoteError> {
        let folder = folder.as_ref().to_owned();
        // A world that was killed has left its file, and anybody may have its port by now.
        if !lock::is_held(&folder) {
            return Err(RemoteError::NoLab { folder });
        }
        match Contact::read(&folder) {
            Ok(contact) => Ok(Self { folder, contact }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(RemoteError::NoLab { folder })
            }
            Err(source) => Err(RemoteError::Contact { file: Contact::file(&folder), source }),
        }
    }

    /// Has the world do something. Returns when it is done; commands that are sent at the same time are done one after the
    /// other, but those that can end what another waits for are done at once: all that change lines, and `Thaw`. A command
    /// goes on when its sender does not wait for the answer.
    ///
    /// # Errors
    /// [`RemoteError::Refused`], [`RemoteError::Ended`]; [`RemoteError::NoLab`] when the world has ended meanwhile;
    /// [`RemoteError::Silent`] after half a minute without an answer to a question, half an hour to any other command.
    pub async fn send(&self, command: &Command) -> Result<CommandOutput, RemoteError> {
        let mut stream =
            TcpStream::connect(self.contact.address).await.map_err(|_| self.no_lab())?;
        let waited = if command.is_question() { TO_A_QUESTION } else { TO_A_COMMAND };
        let reply = timeout(waited, self.exchange(&mut stream, command)).await;
        let reply =
            reply.map_err(|_| RemoteError::Silent { folder: self.folder.clone(), waited })?;
        let reply =
            reply.map_err(|source| RemoteError::Ended { folder: self.folder.clone(), source })?;
        reply.map_err(|message| RemoteError::Refused { message })
    }

    /// All servers, with their roles, and their URLs as seen from a place: through the lines from there. Without a place they
    /// lead to the servers directly.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub async fn urls(&self, from: Option<&str>) -> Result<Vec<ServerUrl>, RemoteError> {
        match self.send(&Command::Urls { from: from.map(str::to_owned) }).await? {
            CommandOutput::Urls(urls) => Ok(urls),
            other => Err(RemoteError::Refused {
                message: format!("the lab answered something else: {other}"),
            }),
        }
    }

    async fn exchange(&self, stream: &mut TcpStream, command: &Command) -> io::Result<Reply> {
        let request = Request { token: self.contact.token.clone(), command: command.clone() };
        let mut request = serde_json::to_vec(&request)?;
        request.push(b'\n');
        stream.write_all(&request).await?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await?;
        if !line.ends_with('\n') {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection"));
        }
        Ok(serde_json::from_str(&line)?)
    }

    fn no_lab(&self) -> RemoteError {
        RemoteError::NoLab { folder: self.folder.clone() }
    }
}

/// Without the token.
impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("folder", &self.folder).finish_non_exhaustive()
    }
}
