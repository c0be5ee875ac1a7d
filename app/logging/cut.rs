//! Long texts are cut: what a client sends must not fill the log.

use std::fmt::{self, Display, Write};
use std::io;

use serde_json::Value;

use crate::settings::LogFormat;

/// The most bytes of one value that a client chose.
const VALUE: usize = 256;

/// The most bytes of one line.
const LINE: usize = 4096;

const MORE: &str = "…";

/// Shows the beginning of a value.
pub(crate) struct Cut<T>(pub(crate) T);

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

/// Cuts each line that is too long. `tracing-subscriber` writes whole lines at once: one, or that with
/// the count of those left out and the next.
pub(super) struct CutLines<W> {
    pub(super) writer: W,
    pub(super) format: LogFormat,
}

impl<W: io::Write> io::Write for CutLines<W> {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if lines.len() <= LINE {
            self.writer.write_all(lines)?;
            return Ok(lines.len());
        }
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let cut = (line.len() > LINE).then(|| match self.format {
                LogFormat::Text => beginning(line),
                LogFormat::Json => shorter_json(line).unwrap_or_default(),
            });
            // At once: lines of other threads must not come between two parts.
            self.writer.write_all(cut.as_ref().map_or(line, String::as_bytes))?;
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn beginning(line: &[u8]) -> String {
    let text = line[..LINE].utf8_chunks().next().map_or("", |chunk| chunk.valid());
    format!("{text}{MORE}\n")
}

/// The same object with shorter texts. None if the line is no JSON, or has so many texts that no cut
/// helps.
fn shorter_json(line: &[u8]) -> Option<String> {
    let mut object = serde_json::from_slice(line).ok()?;
    let mut limit = LINE / 2;
    while limit > MORE.len() {
        cut_texts(&mut object, limit);
        let text = object.to_string();
        if text.len() <= LINE {
            return Some(text + "\n");
        }
        limit /= 2;
    }
    None
}

fn cut_texts(value: &mut Value, limit: usize) {
    match value {
        Value::String(text) if text.len() > limit => {
            text.truncate(text.floor_char_boundary(limit - MORE.len()));
            text.push_str(MORE);
        }
        Value::Array(values) => values.iter_mut().for_each(|value| cut_texts(value, limit)),
        Value::Object(fields) => fields.values_mut().for_each(|value| cut_texts(value, limit)),
        _ => {}
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

        let mut lines = CutLines { writer: vec![], format: LogFormat::Text };
        lines.write_all(b"short\n").unwrap();
        lines.write_all(format!("a{long}").as_bytes()).unwrap();
        let written = String::from_utf8(lines.writer).unwrap();
        assert_eq!(written, format!("short\na{}…\n", "ü".repeat(LINE / 2 - 1)));
    }

    #[test]
    fn a_cut_line_of_json_is_json() {
        let mut lines = CutLines { writer: vec![], format: LogFormat::Json };
        let (controls, name) = ("\u{1}ü".repeat(LINE), "a name");
        for object in [
            serde_json::json!({ "level": "WARN", "spans": [{ "name": name }] }),
            serde_json::json!({ "level": "WARN", "error": controls, "spans": [{ "name": name, "url": controls }] }),
        ] {
            // Two lines at once, as where some were left out.
            lines.write_all(format!("{object}\n{object}\n").as_bytes()).unwrap();
        }
        let written = String::from_utf8(lines.writer).unwrap();
        let objects: Vec<Value> =
            written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(objects.len(), 4);
        for object in &objects {
            assert_eq!(
                (&object["level"], &object["spans"][0]["name"]),
                (&"WARN".into(), &name.into())
            );
        }
        let (error, url) = (&objects[3]["error"], &objects[3]["spans"][0]["url"]);
        assert!(error.as_str().unwrap().ends_with(MORE), "{error}");
        assert!(url.as_str().unwrap().len() >= 128, "{url}");
        assert!(written.lines().all(|line| line.len() <= LINE));
    }

    #[test]
    fn a_long_line_that_no_cut_helps_is_left_out() {
        let mut lines = CutLines { writer: vec![], format: LogFormat::Json };
        let numbers = format!("{}\n", serde_json::json!(vec![1; LINE]));
        assert_eq!(lines.write(numbers.as_bytes()).unwrap(), numbers.len());
        assert!(lines.writer.is_empty());
    }
}
