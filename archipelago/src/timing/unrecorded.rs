//! What stands in for the histograms without the feature `metrics`.

#![allow(clippy::unused_self, reason = "the same methods as those that record")]

use std::time::Instant;

use tokio::time;

use crate::region::{Reason, Role};
use crate::settings::Access;

/// Records nothing.
pub(crate) struct QueryTimes;

impl QueryTimes {
    pub(crate) fn new(_: &'static str) -> Self {
        Self
    }

    pub(crate) fn record_read(&self, _: Role, _: Reason, _: Instant) {}

    pub(crate) fn record_write(&self, _: Instant) {}
}

/// Records nothing.
#[derive(Clone)]
pub(crate) struct CheckoutTimes;

impl CheckoutTimes {
    pub(crate) fn new(_: &'static str, _: Access) -> Self {
        Self
    }

    pub(crate) fn record(&self, _: Option<time::Instant>) {}

    pub(crate) fn begin(&self, _: time::Instant) -> Wait {
        Wait
    }
}

/// Records nothing.
pub(crate) struct Wait;
