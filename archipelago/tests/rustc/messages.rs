//! Removes from rustc's messages what differs between machines and versions.

/// The errors, without folders, lines of other files and the summary.
pub fn normalize(messages: &str) -> String {
    const SUMMARY: [&str; 3] = ["error: aborting", "For more information", "Some errors have"];
    let is_error = |message: &&str| {
        !message.is_empty() && !SUMMARY.iter().any(|beginning| message.starts_with(beginning))
    };
    let messages = messages.replace(" archipelago/", " ");
    let messages: Vec<_> =
        messages.split("\n\n").map(str::trim_end).filter(is_error).map(normalize_one).collect();
    messages.join("\n\n") + "\n"
}

/// The indent of a type in the list of those that implement a trait. Their number depends on features
/// of dependencies.
const LISTED: &str = "          ";

fn normalize_one(message: &str) -> String {
    // rustc indents by the longest number of a line, which may be in another file.
    let indent = message.lines().find_map(place).map_or(0, |(indent, _)| indent);
    let number = |line: &str| Some(line.get(..=indent)?.trim().to_owned());
    let is_number = |number: &str| number.bytes().all(|digit| digit.is_ascii_digit());

    // The file of each line.
    let mut is_program = true;
    let lines: Vec<_> = message
        .lines()
        .map(|line| {
            if let Some((_, place)) = place(line) {
                is_program = place.starts_with("tests/compile_fail/");
            } else if line.starts_with("help:") {
                is_program = true;
            }
            (line, is_program)
        })
        .collect();
    let own = lines.iter().filter(|(_, is_program)| *is_program);
    let width = own
        .filter_map(|(line, _)| number(line).filter(|number| is_number(number)))
        .map(|number| number.len())
        .max()
        .unwrap_or(1)
        .max(1);
    let mut listed = 0;
    let lines = lines.into_iter().filter_map(|(line, is_program)| {
        if let Some((_, place)) = place(line) {
            let (arrow, _) = line.trim_start().split_at(4);
            let place = if is_program { place.to_owned() } else { foreign(place) };
            return Some(format!("{:width$}{arrow}{place}", ""));
        }
        let Some(number) = number(line).filter(|number| is_number(number)) else {
            return Some(line.to_owned());
        };
        let number = if is_program { number } else { String::new() };
        let text = &line[indent + 1..];
        listed = if text.starts_with(LISTED) { listed + 1 } else { 0 };
        match listed {
            0..=8 => Some(format!("{number:>width$} {text}").trim_end().to_owned()),
            9 => Some(format!("{:width$} {:8}and $N others", "", "")),
            _ => None,
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// How far a line is indented that names a place in a file, and that place.
fn place(line: &str) -> Option<(usize, &str)> {
    let arrow = line.trim_start();
    let place = arrow.strip_prefix("--> ").or_else(|| arrow.strip_prefix("::: "))?;
    Some((line.len() - arrow.len(), place))
}

/// A place in a file of another crate, without its line.
fn foreign(place: &str) -> String {
    let file = place.rsplitn(3, ':').last().unwrap_or(place);
    let Some((_, package)) = file.split_once("/registry/src/") else { return file.to_owned() };
    let mut parts = package.splitn(3, '/').skip(1);
    let (package, file) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let name = package.rsplit_once('-').map_or(package, |(name, _)| name);
    format!("$CARGO/{name}-$VERSION/{file}")
}
