//! Free ports of the loopback interface.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use crate::LabError;

/// Below the range from which systems take ports for outgoing connections (Linux: 32768 and up,
/// macOS: 49152 and up), so that a stopped server finds its port free when it starts again.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// Holds a free port until the listener is dropped. Another program may take the port between that
/// and the start of a server: then try again with another one.
pub(crate) fn reserve() -> Result<TcpListener, LabError> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..100 {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, rand::random_range(RANGE))) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(LabError::NoFreePort { source: last })
}
