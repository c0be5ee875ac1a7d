//! What serving costs the machine: CPU time and memory, as the kernel counts them.

use std::time::Duration;

use procfs::process::{Process, Stat, all_processes};

use crate::Failed;

/// The CPU time that a program and the servers have used so far. The kernel counts in ticks of 10 ms.
#[derive(Clone, Copy, Debug)]
pub struct CpuTime {
    /// Of the program.
    pub app: Duration,
    /// Of every process of the servers.
    pub postgres: Duration,
}

impl CpuTime {
    /// Up to now, of the program `app` and of the servers whose first processes are `postmasters`.
    ///
    /// # Errors
    /// When one of them is gone.
    pub fn now(app: i32, postmasters: [i32; 2]) -> Result<Self, Failed> {
        let mut postgres = 0;
        for pid in postmasters {
            let stat = Process::new(pid)?.stat()?;
            // A process that has ended is in the account of the one that waited for it.
            postgres += own(&stat) + u64::try_from(stat.cutime + stat.cstime)?;
        }
        // A process may end while they are listed.
        let all =
            all_processes()?.filter_map(|process| process.and_then(|process| process.stat()).ok());
        postgres +=
            all.filter(|stat| postmasters.contains(&stat.ppid)).map(|stat| own(&stat)).sum::<u64>();
        Ok(Self { app: time(own(&Process::new(app)?.stat()?)), postgres: time(postgres) })
    }
}

/// The resident memory of a program, in bytes.
///
/// # Errors
/// When it is gone.
pub fn memory(pid: i32) -> Result<u64, Failed> {
    Ok(Process::new(pid)?.stat()?.rss * procfs::page_size())
}

fn own(stat: &Stat) -> u64 {
    stat.utime + stat.stime
}

fn time(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / procfs::ticks_per_second())
}
