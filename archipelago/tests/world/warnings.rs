//! What the library warns of. The log is one for all tests: tell its lines by a region of your own.

use std::io::{self, Write};
use std::sync::Once;

use parking_lot::Mutex;
use tracing_subscriber::filter::LevelFilter;

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Begins to keep the warnings of this process.
pub fn keep() {
    static BEGUN: Once = Once::new();

    BEGUN.call_once(|| {
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(|| Line);
        log.with_max_level(LevelFilter::WARN).init();
    });
}

/// Where the next warning will stand.
pub fn end() -> usize {
    LOG.lock().len()
}

/// The warnings of a region since the log ended at `from`.
pub fn of(region: &str, from: usize) -> Vec<String> {
    let region = format!("region=\"{region}\"");
    let log = String::from_utf8_lossy(&LOG.lock()[from..]).into_owned();
    log.lines().filter(|line| line.contains(&region)).map(str::to_owned).collect()
}

struct Line;

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LOG.lock().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
