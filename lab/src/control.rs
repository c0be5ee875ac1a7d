//! Commands from other processes: a world with a folder listens on a port of 127.0.0.1. A file in
//! that folder holds the address, and a token that proves that the sender may read the folder.
//!
//! Each connection carries one line of JSON to the world ([`Request`]) and one line back
//! ([`Reply`]). The other side is [`Remote`].

mod contact;
mod remote;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, oneshot};
use tokio::time::{sleep, timeout};

use crate::command::{Command, CommandOutput};
use crate::{LabError, port};
use contact::Contact;

pub use remote::{Remote, RemoteError};

/// For a client to send its request.
const PATIENCE: Duration = Duration::from_secs(10);

/// In bytes: more than any request has.
const LONGEST: u64 = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct Request {
    token: String,
    command: Command,
}

/// The output of a command, or the text of the error.
pub(crate) type Reply = Result<CommandOutput, String>;

/// Listens until it is dropped, on a thread of its own, so that no runtime of the program has to
/// run meanwhile.
#[derive(Debug)]
pub(crate) struct Control {
    file: PathBuf,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Starts to listen. `execute` carries out a command.
    pub(crate) fn open<E, F>(folder: &Path, execute: E) -> Result<Self, LabError>
    where
        E: Fn(Command) -> F + Send + Sync + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        let (listener, file) = (port::reserve()?, Contact::file(folder));
        let failed = |source| LabError::Control { source };
        let contact = Contact::new(listener.local_addr().map_err(failed)?);
        listener.set_nonblocking(true).map_err(failed)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (end, ended) = oneshot::channel();
        let service =
            Arc::new(Service { token: contact.token.clone(), execute, turn: Mutex::default() });
        let run = move || run(&runtime, listener, &service, ended);
        let thread = thread::Builder::new()
            .name("archipelago-lab control".to_owned())
            .spawn(run)
            .map_err(failed)?;
        let control = Self { file, end: Some(end), thread: Some(thread) };
        contact.write(folder).map_err(LabError::file("write", &control.file))?;
        Ok(control)
    }

    /// Removes the file that a killed process has left.
    pub(crate) fn remove_stale_file(folder: &Path) {
        let _ = fs::remove_file(Contact::file(folder));
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
        drop(self.end.take());
        // Commands under way end here, and release the servers that they use.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Service<E> {
    token: String,
    execute: E,
    /// Locked by the command that is carried out, so that there is one at a time.
    turn: Mutex<()>,
}

fn run<E, F>(
    runtime: &Runtime,
    listener: TcpListener,
    service: &Arc<Service<E>>,
    ended: oneshot::Receiver<()>,
) where
    E: Fn(Command) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let listen = async {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                return tracing::warn!(%error, "this world takes no commands from other processes");
            }
        };
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(answer(stream, service.clone()))),
                // The process may have too many open files.
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    };
    runtime.block_on(async {
        tokio::select! {
            _ = ended => {}
            () = listen => {}
        }
    });
}

/// Reads a request, and answers it. If the client goes away, its command is still finished, because
/// half of it would be worse.
async fn answer<E, F>(stream: TcpStream, service: Arc<Service<E>>)
where
    E: Fn(Command) -> F,
    F: Future<Output = Reply>,
{
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let read = timeout(PATIENCE, BufReader::new(reader.take(LONGEST)).read_line(&mut line)).await;
    if !matches!(read, Ok(Ok(1..))) {
        return;
    }
    let reply: Reply = match serde_json::from_str::<Request>(&line) {
        Ok(Request { token, command }) if token == service.token => {
            service.take_turn_and_execute(command).await
        }
        Ok(_) => {
            Err("this is not the token of the lab that runs here: read the file `control` again"
                .to_owned())
        }
        Err(error) => Err(format!(
            "the lab that runs does not know this command; is it of another version? ({error})"
        )),
    };
    if let Ok(mut reply) = serde_json::to_vec(&reply) {
        reply.push(b'\n');
        let _ = writer.write_all(&reply).await;
    }
}

impl<E, F> Service<E>
where
    E: Fn(Command) -> F,
    F: Future<Output = Reply>,
{
    async fn take_turn_and_execute(&self, command: Command) -> Reply {
        let _turn = if command.runs_beside_others() { None } else { Some(self.turn.lock().await) };
        (self.execute)(command).await
    }
}
