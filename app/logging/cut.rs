//! Long texts are cut: what a client sends must not fill the log.

use std::fmt::{self, Display, Write};
use std::io;

/// The most bytes of one value that a client chose.
const VALUE: usize = 256;

/// The most bytes of one line.
const LINE: usize = 4096;

const MORE: &str = "…";

/// Shows the beginning of a value.
pub(super) struct Cut<T>(pub(super) T);

impl<T: Display> Display for Cut<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut beginning = Beginning { f, left: VALUE, is_cut: false };
        let shown = write!(beginning, "{}", self.0);
        if beginning.is_cut { f.write_str(MORE) } else { shown }
    }
}

struct Beginning<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    left: usize,
    is_cut: bool,
}

impl Write for Beginning<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fitting = text.floor_char_boundary(self.left);
        self.left -= fitting;
        self.f.write_str(&text[..fitting])?;
        self.is_cut = fitting < text.len();
        // Ends the value's own formatting.
        if self.is_cut { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Writes the beginning of each line. `tracing-subscriber` writes a whole line at once.
pub(super) struct CutLines<W>(pub(super) W);

impl<W: io::Write> io::Write for CutLines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let cut = line.get(..LINE).map(|beginning| {
            let text = beginning.utf8_chunks().next().map_or("", |chunk| chunk.valid());
            format!("{text}{MORE}\n")
        });
        // At once: lines of other threads must not come between two parts.
        self.0.write_all(cut.as_ref().map_or(line, String::as_bytes))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn long_values_and_lines_are_cut() {
        let long = "ü".repeat(LINE);
        assert_eq!(Cut("/users").to_string(), "/users");
        assert_eq!(Cut(&long).to_string(), format!("{}…", "ü".repeat(VALUE / 2)));
        assert_eq!(
            format!("{} after", Cut(&"a".repeat(VALUE))),
            format!("{} after", "a".repeat(VALUE))
        );

        let mut lines = CutLines(vec![]);
        lines.write_all(b"short\n").unwrap();
        lines.write_all(format!("a{long}").as_bytes()).unwrap();
        let written = String::from_utf8(lines.0).unwrap();
        assert_eq!(written, format!("short\na{}…\n", "ü".repeat(LINE / 2 - 1)));
    }
}
