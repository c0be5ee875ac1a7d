//! Another process that holds a world: this test binary, which runs its ignored test `hold`.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use archipelago_lab::{World, eventually};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::DEADLINE;

const FOLDER: &str = "LAB_TEST_FOLDER";

/// Holds a world in the folder that the environment names, or a temporary one if the name is empty.
#[tokio::test]
#[ignore = "run by the other tests: the process that they kill"]
async fn hold() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let mut builder = World::builder().primary("nrt").replicas(["ord"]);
    if !folder.is_empty() {
        builder = builder.folder(folder);
    }
    match builder.start().await {
        Ok(world) => {
            for server in world.servers() {
                println!("@log {}", server.log_file().display());
            }
            if std::env::var_os("LAB_TEST_FREEZE").is_some() {
                for server in world.servers() {
                    server.freeze().await.unwrap();
                }
            }
            println!("@ready");
            assert!(std::env::var_os("LAB_TEST_PANIC").is_none(), "as the test asked");
            std::future::pending::<()>().await;
        }
        Err(error) => {
            println!("@error {error}\n@end");
            std::process::exit(1);
        }
    }
}

pub struct Holder {
    process: Child,
    /// Open as long as the process may print.
    _output: BufReader<ChildStdout>,
    /// The folder of the world.
    pub home: PathBuf,
    /// The servers' main processes.
    pub servers: Vec<Pid>,
}

impl Holder {
    /// Returns when the world of the other process runs; its error if it did not start.
    pub fn start(folder: Option<&Path>, environment: &[(&str, &str)]) -> Result<Self, String> {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "holder::hold", "--ignored", "--nocapture"])
            .env(FOLDER, folder.unwrap_or(Path::new("")))
            .env("RUST_BACKTRACE", "0")
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut logs = Vec::new();
        let mut error = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        for line in output.by_ref().lines() {
            let line = line.unwrap();
            if let Some((_, log)) = line.split_once("@log ") {
                logs.push(PathBuf::from(log));
            } else if line == "@ready" {
                break;
            } else if let Some((_, first)) = line.split_once("@error ") {
                error.push_str(first);
            } else if !error.is_empty() && line != "@end" {
                error = format!("{error}\n{line}");
            }
        }
        if logs.is_empty() {
            process.wait().unwrap();
            return Err(error);
        }
        let home = logs[0].parent().and_then(Path::parent).unwrap().to_owned();
        let servers = ["primary", "replica-ord"].map(|data| server_on(&home.join(data))).to_vec();
        Ok(Self { process, _output: output, home, servers })
    }

    /// Sends a signal to the process, as `kill` does.
    pub fn kill(&mut self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
        self.process.wait().unwrap();
    }

    /// Sends a signal to its whole process group, as a terminal does for Ctrl-C.
    pub fn interrupt(&mut self) {
        killpg(self.pid(), Signal::SIGINT).unwrap();
        self.process.wait().unwrap();
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self) {
        self.process.wait().unwrap();
    }

    pub fn servers_are_gone(&self) -> bool {
        self.servers.iter().all(|pid| is_gone(*pid))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Waits before the test removes its folders, on another thread, as this one has a runtime.
        let wait = || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(eventually("the servers are gone", DEADLINE, async || {
                self.servers_are_gone()
            }));
        };
        let _ = std::thread::scope(|scope| scope.spawn(wait).join());
    }
}

/// The main process of the server that runs on this data.
pub fn server_on(data: &Path) -> Pid {
    let file = std::fs::read_to_string(data.join("postmaster.pid")).unwrap();
    Pid::from_raw(file.lines().next().unwrap().trim().parse().unwrap())
}

pub fn is_gone(pid: Pid) -> bool {
    kill(pid, None) == Err(Errno::ESRCH)
}

/// The main process of a server, and its children.
pub fn tree_of(server: Pid) -> Vec<Pid> {
    processes()
        .into_iter()
        .filter(|it| it.pid == server || it.parent == server)
        .map(|it| it.pid)
        .collect()
}

/// Whether a process is stopped by SIGSTOP.
pub fn is_stopped(pid: Pid) -> bool {
    processes().iter().any(|it| it.pid == pid && it.state.starts_with('T'))
}

/// The shell that started the server, and the shell's other children.
pub fn watchdogs_of(server: Pid) -> Vec<Pid> {
    let processes = processes();
    let parent = processes.iter().find(|it| it.pid == server).unwrap().parent;
    let listeners = processes.iter().filter(|it| it.parent == parent && it.pid != server);
    // The listener first, because it kills the server when its pipe ends. The shell only waits.
    listeners.map(|it| it.pid).chain([parent]).collect()
}

struct Process {
    pid: Pid,
    parent: Pid,
    state: String,
}

fn processes() -> Vec<Process> {
    let printed = Command::new("ps")
        .args(["-A", "-o", "pid=", "-o", "ppid=", "-o", "stat="])
        .output()
        .unwrap()
        .stdout;
    let number = |word: &str| Pid::from_raw(word.parse().unwrap());
    let process = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [pid, parent, state] => {
            Process { pid: number(pid), parent: number(parent), state: state.to_owned() }
        }
        _ => panic!("{line}"),
    };
    String::from_utf8(printed).unwrap().lines().map(process).collect()
}
