//! One file under check: the line of each byte, and the mistakes found so far.

use crate::mistake::Mistake;
use std::ops::Range;

/// One file under check: its text, the line of each byte, and the mistakes found so far.
pub(super) struct SourceFile<'a> {
    name: &'a str,
    text: &'a str,
    /// The offset of each newline, so that a line number takes a binary search.
    newlines: Vec<usize>,
    /// Each mistake with its offset.
    mistakes: Vec<(usize, Mistake)>,
}

impl<'a> SourceFile<'a> {
    pub fn new(name: &'a str, text: &'a str) -> Self {
        let newlines = text.match_indices('\n').map(|(offset, _)| offset).collect();
        Self { name, text, newlines, mistakes: Vec::new() }
    }

    /// Reports a mistake on the line where `span` starts.
    pub fn report(&mut self, span: Range<usize>, problem: impl AsRef<str>, fix: impl AsRef<str>) {
        let line = self.line(span.start);
        let mistake = Mistake::new(self.name, line, problem.as_ref(), fix.as_ref());
        self.mistakes.push((span.start, mistake));
    }

    /// The mistakes in the order of the file.
    pub fn into_mistakes(mut self) -> Vec<Mistake> {
        self.mistakes.sort_by_key(|(offset, _)| *offset);
        self.mistakes.into_iter().map(|(_, mistake)| mistake).collect()
    }

    /// The line of the byte at `offset`, from 1.
    pub fn line(&self, offset: usize) -> usize {
        1 + self.newlines.partition_point(|newline| *newline < offset)
    }

    pub fn name(&self) -> &'a str {
        self.name
    }

    pub fn text(&self) -> &'a str {
        self.text
    }
}
