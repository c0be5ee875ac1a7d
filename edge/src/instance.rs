//! An instance of the app: its region and its address.

use std::net::SocketAddr;

/// A running instance of the app, the only one in its region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The code of its region, which is also the instance's id. Give the app the same code as
    /// `FLY_REGION` and as `FLY_MACHINE_ID`.
    pub region: String,
    /// The address on which it serves HTTP/1.1.
    pub address: SocketAddr,
}
