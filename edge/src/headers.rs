//! The headers that the edge reads, writes and removes.

pub(crate) mod fields;
pub(crate) mod fly_replay;
pub(crate) mod forwarded;
pub(crate) mod hop_by_hop;
pub(crate) mod replayed;

/// On a request: the place where the visitor stands, and the regions to try first.
pub(crate) const FLY_PREFER_REGION: &str = "fly-prefer-region";
/// On a request: the only regions to try.
pub(crate) const FLY_FORCE_REGION: &str = "fly-force-region";
/// On a response of an instance: where to replay the request.
pub(crate) const FLY_REPLAY: &str = "fly-replay";
/// On a replayed request: which instance asked for the replay.
pub(crate) const FLY_REPLAY_SRC: &str = "fly-replay-src";
/// On a request that returns to the instance that asked for a replay: why the replay failed.
pub(crate) const FLY_REPLAY_FAILED: &str = "fly-replay-failed";
/// On a response to a visitor: where the request went, as `from=syd; instance=syd; ms=3`.
pub(crate) const X_EDGE: &str = "x-edge";
/// On a response of an instance: which database served it.
pub(crate) const X_SERVED_BY: &str = "x-served-by";
