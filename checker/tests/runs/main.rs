//! Whole runs of the checker: without each safeguard, by seeds, and with each kind of fault.

mod faults;
mod safeguards;
mod seeds;

use tokio::sync::Semaphore;

/// Runs at the same time. They mostly wait; more would slow each other down.
const AT_ONCE: u32 = 3;

/// A run without a safeguard takes one. Where no promise may be broken, a busy machine could break
/// it: such a run takes more.
static PERMITS: Semaphore = Semaphore::const_new(AT_ONCE as usize);
