//! Reads, writes, pools and TLS against a real primary and real streaming replicas.

mod world {
    pub mod counter;
    pub mod failover;
    pub mod pools;
    pub mod promotion;
    pub mod reading_and_writing;
    #[cfg(feature = "actix")]
    pub mod replay;
    pub mod round_trips;
    pub mod shared;
    pub mod sharing;
    pub mod tls;
}
