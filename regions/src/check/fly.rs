//! The fly.toml beside regions.toml: both files must name the same primary.

use super::members::Member;
use super::source_file::SourceFile;
use super::syntax;
use super::value::{self, quoted};
use crate::mistake::Mistake;
use std::path::Path;

/// The primary that a fly.toml names, and the mistakes of that file.
pub(super) struct FlyToml {
    file: String,
    primary: Option<(String, usize)>,
    pub mistakes: Vec<Mistake>,
}

impl FlyToml {
    /// Reads the text of the fly.toml beside `regions_toml`.
    ///
    /// Only `primary_region` is read. Fly.io passes it to the instance as `PRIMARY_REGION`.
    pub fn read(regions_toml: &str, text: &str) -> Self {
        let file = Path::new(regions_toml).with_file_name("fly.toml").display().to_string();
        let mut source = SourceFile::new(&file, text);
        let primary = syntax::parse(&mut source).and_then(|table| {
            let (key, value) = table.get_key_value("primary_region")?;
            let form = "`primary_region = \"nrt\"`";
            let code = value::string(&mut source, key.get_ref(), value, form)?;
            Some((code.to_owned(), source.line(value.span().start)))
        });
        let mistakes = source.into_mistakes();
        Self { file, primary, mistakes }
    }

    /// The code of the primary.
    pub fn primary(&self) -> Option<&str> {
        self.primary.as_ref().map(|(code, _)| code.as_str())
    }

    /// Reports a mistake if the fly.toml names another primary.
    pub fn compare(&self, source: &mut SourceFile<'_>, primary: &Member) {
        if let Some((other, line)) = &self.primary
            && *other != primary.code
        {
            let (code, other, file) = (quoted(&primary.code), quoted(other), &self.file);
            source.report(
                primary.span.clone(),
                format!("the primary is {code} here and {other} in {file}:{line}"),
                format!("write `primary = {other}` here or `primary_region = {code}` there"),
            );
        }
    }
}
