//! The time from the start of a program to its first answer.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::Failed;
use crate::child::Running;

/// The pause between two attempts to connect, which take CPU time from the program that starts.
const PAUSE: Duration = Duration::from_millis(1);

/// The most time that a program may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Starts this program with such arguments, and requests `path` until it answers. Returns the time
/// from before the process existed to the end of the answer.
///
/// # Errors
/// When it does not start, or its answer is not a page.
pub async fn first_answer(
    arguments: &[&str],
    vars: &[(String, String)],
    path: &str,
) -> Result<(Running, Duration), Failed> {
    let address = free_address()?;
    let vars = [vars, &[("PORT".to_owned(), address.port().to_string())]].concat();
    let began = Instant::now();
    let answered = async {
        timeout(DEADLINE, get(address, path)).await??;
        Ok(began.elapsed())
    };
    tokio::try_join!(Running::start(arguments, &vars), answered)
}

/// Requests a page.
///
/// # Errors
/// When the answer is not a page.
pub async fn get(address: SocketAddr, path: &str) -> Result<(), Failed> {
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

/// An address on which no program listens at the moment.
fn free_address() -> Result<SocketAddr, Failed> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
