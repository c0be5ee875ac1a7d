//! Server-sent events, as text:
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

/// Their content type.
pub(crate) const EVENT_STREAM: &str = "text/event-stream";

/// One event; a browser puts the lines of its data together again.
pub(crate) fn event(name: &str, data: &str) -> String {
    let lines: Vec<_> = data.lines().map(|line| format!("data: {line}\n")).collect();
    format!("event: {name}\n{}\n", lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_the_data_has_one_of_its_own() {
        assert_eq!(event("part", "<p>\n</p>\n"), "event: part\ndata: <p>\ndata: </p>\n\n");
    }
}
