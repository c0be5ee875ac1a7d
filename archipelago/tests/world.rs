//! Reads, writes, pools, failover and TLS against a real primary and real streaming replicas.

mod world {
    pub mod certificates;
    pub mod connections;
    pub mod counting_proxy;
    pub mod counts;
    #[cfg(all(feature = "actix", feature = "axum"))]
    pub mod cutting_proxy;
    #[cfg(all(feature = "actix", feature = "axum"))]
    pub mod doors;
    pub mod errors;
    pub mod failover;
    pub mod handles;
    pub mod histories;
    pub mod hosts;
    pub mod limits;
    pub mod logins;
    pub mod monitor;
    pub mod moods;
    pub mod pgbouncer;
    pub mod poolers;
    pub mod pools;
    pub mod promotion;
    pub mod reading_and_writing;
    pub mod relay;
    pub mod rights;
    pub mod round_trips;
    pub mod schema;
    pub mod schema_changes;
    pub mod servers;
    pub mod setup;
    pub mod sharing;
    pub mod spans;
    pub mod tls;
    pub mod traffic;
    pub mod twins;
    pub mod warnings;
}
