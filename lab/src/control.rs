//! Commands from other processes: a world with a folder listens on a port of 127.0.0.1, and says in a file of that folder
//! which, and by what token it knows its own people.
//!
//! One connection, one line of JSON there ([`Request`]), one line back ([`Reply`]); the other side is `remote`.

mod contact;
mod remote;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, oneshot};
use tokio::time::{sleep, timeout};

use crate::world::Machines;
use crate::{Command, CommandOutput, LabError, World, port};
use contact::Contact;

pub use remote::{Remote, RemoteError};

/// For a client to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longer than any command.
const LONGEST: u64 = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct Request {
    token: String,
    command: Command,
}

/// The answer, or an error as it is printed.
type Reply = Result<CommandOutput, String>;

/// Listens until it is dropped, on a thread of its own: whoever started the world may have other things to do.
#[derive(Debug)]
pub(crate) struct Control {
    file: PathBuf,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Obeys for as long as the world lives, which it does not prolong.
    pub(crate) fn open(folder: &Path, machines: &Arc<Machines>) -> Result<Self, LabError> {
        let (listener, file) = (port::reserve()?, Contact::file(folder));
        let failed = |source| LabError::Control { source };
        let contact = Contact::new(listener.local_addr().map_err(failed)?);
        listener.set_nonblocking(true).map_err(failed)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (end, ended) = oneshot::channel();
        let office = Arc::new(Office {
            token: contact.token.clone(),
            machines: Arc::downgrade(machines),
            turn: Mutex::default(),
        });
        let run = move || run(&runtime, listener, &office, ended);
        let thread = thread::Builder::new()
            .name("archipelago-lab control".to_owned())
            .spawn(run)
            .map_err(failed)?;
        let control = Self { file, end: Some(end), thread: Some(thread) };
        contact.write(folder).map_err(LabError::file("write", &control.file))?;
        Ok(control)
    }

    /// Removes what a process that was killed has left.
    pub(crate) fn forget(folder: &Path) {
        let _ = fs::remove_file(Contact::file(folder));
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
        drop(self.end.take());
        // Commands under way end here, and with them what they hold of the world.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Office {
    token: String,
    machines: Weak<Machines>,
    /// Held by the command that is carried out: one after the other.
    turn: Mutex<()>,
}

fn run(
    runtime: &Runtime,
    listener: TcpListener,
    office: &Arc<Office>,
    ended: oneshot::Receiver<()>,
) {
    let listen = async {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                return tracing::warn!(%error, "this world hears no commands of other processes");
            }
        };
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(converse(stream, office.clone()))),
                // Too many open files, for one.
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

/// A client that goes away in the middle does not end its command: half of it would be worse.
async fn converse(stream: TcpStream, office: Arc<Office>) {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let read = timeout(PATIENCE, BufReader::new(reader.take(LONGEST)).read_line(&mut line)).await;
    if !matches!(read, Ok(Ok(1..))) {
        return;
    }
    let reply: Reply = match serde_json::from_str::<Request>(&line) {
        Ok(Request { token, command }) if token == office.token => office.obey(command).await,
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

impl Office {
    async fn obey(&self, command: Command) -> Reply {
        // Whoever looks, or ends what another command waits for, need not wait for it.
        let _turn = if command.takes_no_turn() { None } else { Some(self.turn.lock().await) };
        let machines =
            self.machines.upgrade().ok_or_else(|| "the lab is about to end".to_owned())?;
        World::of(machines).obey(command).await.map_err(|error| error.to_string())
    }
}
