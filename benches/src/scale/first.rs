//! The first answer of a program: what a visitor waits for who came while it was started.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::Failed;
use crate::child::Running;

/// Between two attempts to connect: each takes time from the program that starts.
const PAUSE: Duration = Duration::from_millis(1);

/// More than any program needs to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts this program with other arguments and variables, and asks it for `path` until it answers: how long that took from
/// before there was a process.
///
/// # Errors
/// When it does not start, or its answer is no page.
pub async fn first_answer(
    arguments: &[&str],
    vars: &[(String, String)],
    path: &str,
) -> Result<(Running, Duration), Failed> {
    let address = free()?;
    let vars = [vars, &[("PORT".to_owned(), address.port().to_string())]].concat();
    let began = Instant::now();
    let answered = async {
        timeout(PATIENCE, ask(address, path)).await??;
        Ok(began.elapsed())
    };
    tokio::try_join!(Running::start(arguments, &vars), answered)
}

/// Asks for a page.
///
/// # Errors
/// When there is none.
pub async fn ask(address: SocketAddr, path: &str) -> Result<(), Failed> {
    let mut stream = loop {
        match TcpStream::connect(address).await {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => sleep(PAUSE).await,
            connected => break connected?,
        }
    };
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    if answer.starts_with("HTTP/1.1 200 ") {
        Ok(())
    } else {
        Err(format!("{path} was answered with: {answer}").into())
    }
}

/// An address where nobody listens, as far as anybody can know.
fn free() -> Result<SocketAddr, Failed> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
