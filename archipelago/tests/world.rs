//! Reads, writes, pools, failover and TLS against a real primary and real streaming replicas.

mod world {
    pub mod counting_proxy;
    #[cfg(feature = "actix")]
    pub mod cutting_proxy;
    pub mod errors;
    pub mod failover;
    pub mod handles;
    pub mod histories;
    pub mod limits;
    pub mod logins;
    pub mod monitor;
    pub mod pools;
    pub mod promotion;
    pub mod reading_and_writing;
    pub mod relay;
    #[cfg(feature = "actix")]
    pub mod replay;
    pub mod round_trips;
    pub mod schema;
    pub mod servers;
    pub mod setup;
    pub mod sharing;
    pub mod tls;
    pub mod twins;
    #[cfg(feature = "actix")]
    pub mod visitor;
}
