//! How long callers wait: recorded by the facade of the crate `metrics`, with the feature of that name.
//! Without it nothing is recorded, and these types are empty.

#[cfg(feature = "metrics")]
mod recorded;
#[cfg(not(feature = "metrics"))]
mod unrecorded;

#[cfg(feature = "metrics")]
pub(crate) use self::recorded::{CheckoutTimes, QueryTimes};
#[cfg(not(feature = "metrics"))]
pub(crate) use self::unrecorded::{CheckoutTimes, QueryTimes};
