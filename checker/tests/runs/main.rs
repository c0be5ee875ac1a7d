//! Whole runs of the checker: without each safeguard, by seeds, and with each kind of fault.

mod faults;
mod safeguards;
mod seeds;

use std::sync::Once;

use tokio::sync::Semaphore;
use tracing_subscriber::EnvFilter;

/// Runs at the same time. They mostly wait; more would slow each other down.
const AT_ONCE: u32 = 3;

/// A run without a safeguard takes one. Where no promise may be broken, a busy machine could break
/// it: such a run takes more.
static PERMITS: Semaphore = Semaphore::const_new(AT_ONCE as usize);

/// Has the instances log what `RUST_LOG` says; nothing without it.
fn log_as_the_environment_says() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        if let Ok(filter) = EnvFilter::try_from_default_env() {
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
        }
    });
}
