//! The Rust examples of the book in docs/, compiled as doctests of this crate.

#[doc = include_str!("../../docs/deploying.md")]
struct Deploying;

#[cfg(feature = "actix")]
#[doc = include_str!("../../docs/errors.md")]
struct Errors;

#[doc = include_str!("../../docs/testing.md")]
struct Testing;

#[cfg(all(feature = "actix", feature = "axum"))]
#[doc = include_str!("../../docs/getting-started.md")]
struct GettingStarted;

#[cfg(feature = "actix")]
#[doc = include_str!("../../docs/reading-and-writing.md")]
struct ReadingAndWriting;

#[cfg(feature = "actix")]
#[doc = include_str!("../../docs/freshness-and-failover.md")]
struct FreshnessAndFailover;
