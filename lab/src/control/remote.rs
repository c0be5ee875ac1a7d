//! A world that runs in another process, for programs that may read its folder.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::command::{Command, CommandOutput, ServerUrl};
use crate::control::contact::Contact;
use crate::control::{Reply, Request};
use crate::world_dir;

/// For the output of a command that changes nothing.
const FOR_A_QUERY: Duration = Duration::from_secs(30);

/// For the output of any other command, which may wait for earlier ones. The longest, a rejoin,
/// takes a quarter of an hour at worst.
const FOR_A_CHANGE: Duration = Duration::from_mins(30);

/// A world that runs in another process, found by its [folder](crate::Builder::folder).
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

/// Why a command to a running world failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// No world runs in the folder.
    #[error("no lab is running in {}: start one there, or name the folder of one that runs", folder.display())]
    NoLab {
        /// The folder that was looked into.
        folder: PathBuf,
    },
    /// The file with the world's address cannot be read.
    #[error("cannot read {}: {source}; only the user that started a lab may send it commands", file.display())]
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
    /// The process of the world exists, and does not answer.
    #[error(
        "the lab in {} has not answered within {waited:?}: see whether its process stands still; it may still carry out the command",
        folder.display()
    )]
    Silent {
        /// The folder of the world.
        folder: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// The command failed; the message is that of the world's [`LabError`](crate::LabError).
    #[error("{message}")]
    Refused {
        /// What is wrong, and what to do about it.
        message: String,
    },
}

impl Remote {
    /// Finds the world that runs in this folder.
    ///
    /// # Errors
    /// [`RemoteError::NoLab`], also while a world is starting; [`RemoteError::Contact`].
    pub fn find(folder: impl AsRef<Path>) -> Result<Self, RemoteError> {
        let folder = folder.as_ref().to_owned();
        // A killed world leaves its file, and another program may have its port by now.
        if !world_dir::is_locked(&folder) {
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

    /// Sends a command, and returns its output when the world has carried it out.
    ///
    /// Commands that are sent at the same time run one after the other. `Cut`, `Heal`, `Slow` and
    /// `Thaw` run at once, because another command may be waiting for what they change. A command
    /// is finished even if its sender does not wait for the output.
    ///
    /// # Errors
    /// [`RemoteError::Refused`], [`RemoteError::Ended`]; [`RemoteError::NoLab`] if the world has
    /// ended; [`RemoteError::Silent`] after half a minute for `Status` and `Urls`, half an hour for
    /// any other.
    pub async fn send(&self, command: &Command) -> Result<CommandOutput, RemoteError> {
        let mut stream =
            TcpStream::connect(self.contact.address).await.map_err(|_| self.no_lab())?;
        let waited = if command.is_query() { FOR_A_QUERY } else { FOR_A_CHANGE };
        let reply = timeout(waited, self.exchange(&mut stream, command)).await;
        let reply =
            reply.map_err(|_| RemoteError::Silent { folder: self.folder.clone(), waited })?;
        let reply =
            reply.map_err(|source| RemoteError::Ended { folder: self.folder.clone(), source })?;
        reply.map_err(|message| RemoteError::Refused { message })
    }

    /// The URLs of all servers, for a program in the place `from`: they lead over the links from
    /// there. Without a place they lead to the servers directly.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
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
