//! fly.toml beside regions.toml: the two must name the same primary.

use super::members::Member;
use super::report::Report;
use super::syntax;
use super::value::quoted;
use crate::Mistake;
use serde::Deserialize;
use std::path::Path;
use toml::Spanned;
use toml::de::Deserializer;

/// What fly.toml says about the primary, and what is wrong with it.
pub(super) struct Fly {
    file: String,
    primary: Option<(String, usize)>,
    pub mistakes: Vec<Mistake>,
}

/// The one key that both files know. Fly hands it to the instance as `PRIMARY_REGION`.
#[derive(Deserialize)]
struct FlyToml {
    primary_region: Option<Spanned<String>>,
}

/// Reads the text of the `fly.toml` that stands beside `regions_toml`.
pub(super) fn read(regions_toml: &str, text: &str) -> Fly {
    let file = Path::new(regions_toml).with_file_name("fly.toml").display().to_string();
    let mut report = Report::new(&file, text);
    let mut primary = None;
    if let Some(table) = syntax::parse(&mut report) {
        match FlyToml::deserialize(Deserializer::from(Spanned::new(0..text.len(), table))) {
            Ok(FlyToml { primary_region }) => {
                primary = primary_region.map(|region| {
                    let line = report.line(region.span().start);
                    (region.into_inner(), line)
                });
            }
            Err(error) => {
                // The only key that is read, so the only one that can have the wrong type.
                let wrong =
                    format!("`primary_region` is no string ({})", error.message().escape_debug());
                report.add(
                    error.span().unwrap_or(0..0),
                    wrong,
                    "write it like `primary_region = \"nrt\"`",
                );
            }
        }
    }
    let mistakes = report.into_mistakes();
    Fly { file, primary, mistakes }
}

impl Fly {
    /// The primary that fly.toml names.
    pub fn primary(&self) -> Option<&str> {
        self.primary.as_ref().map(|(code, _)| code.as_str())
    }

    /// Reports when `primary` is not the one that fly.toml names.
    pub fn compare(&self, report: &mut Report<'_>, primary: &Member) {
        if let Some((other, line)) = &self.primary
            && *other != primary.code
        {
            let (code, other, file) = (quoted(&primary.code), quoted(other), &self.file);
            report.add(
                primary.span.clone(),
                format!("the primary is {code} here and {other} in {file}:{line}"),
                format!("write `primary = {other}` here or `primary_region = {code}` there"),
            );
        }
    }
}
