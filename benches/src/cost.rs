//! What serving costs the machine: CPU time and memory, as the kernel counts them.

use std::time::Duration;

use procfs::process::{Process, Stat, all_processes};

use crate::Failed;

/// The CPU time that a program and the servers have used so far, in kernel ticks of 10 ms.
#[derive(Clone, Copy, Debug)]
pub struct CpuTime {
    /// The CPU time of the program.
    pub app: Duration,
    /// The CPU time of all processes of the servers.
    pub postgres: Duration,
}

impl CpuTime {
    /// The CPU time until now of the program `app` and of the servers with these `postmasters`.
    ///
    /// # Errors
    /// When one of the processes has ended.
    pub fn now(app: i32, postmasters: [i32; 2]) -> Result<Self, Failed> {
        let mut postgres = 0;
        for pid in postmasters {
            let stat = Process::new(pid)?.stat()?;
            // The kernel adds the time of a process that has ended to its parent's account.
            postgres += own_ticks(&stat) + u64::try_from(stat.cutime + stat.cstime)?;
        }
        // A process that ends while the processes are listed is left out.
        let all =
            all_processes()?.filter_map(|process| process.and_then(|process| process.stat()).ok());
        postgres += all
            .filter(|stat| postmasters.contains(&stat.ppid))
            .map(|stat| own_ticks(&stat))
            .sum::<u64>();
        let app = own_ticks(&Process::new(app)?.stat()?);
        Ok(Self { app: duration(app), postgres: duration(postgres) })
    }
}

/// The resident memory of a program, in MiB.
///
/// # Errors
/// When the program has ended.
#[expect(clippy::cast_precision_loss, reason = "no machine has 2^53 bytes")]
pub fn memory_mib(pid: i32) -> Result<f64, Failed> {
    let bytes = Process::new(pid)?.stat()?.rss * procfs::page_size();
    Ok(bytes as f64 / f64::from(1 << 20))
}

fn own_ticks(stat: &Stat) -> u64 {
    stat.utime + stat.stime
}

fn duration(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / procfs::ticks_per_second())
}
