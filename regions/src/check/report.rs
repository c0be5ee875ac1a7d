//! Collects mistakes while one file is walked, and knows the line of every byte.

use crate::Mistake;
use std::ops::Range;

pub(super) struct Report<'a> {
    file: &'a str,
    source: &'a str,
    mistakes: Vec<(usize, Mistake)>,
    /// Stretches with a syntax error: whatever else seems wrong there is most likely its shadow.
    settled: Vec<Range<usize>>,
}

impl<'a> Report<'a> {
    pub fn new(file: &'a str, source: &'a str) -> Self {
        Self { file, source, mistakes: Vec::new(), settled: Vec::new() }
    }

    /// Reports a mistake where `span` begins.
    pub fn add(
        &mut self,
        span: Range<usize>,
        wrong: impl Into<String>,
        instead: impl Into<String>,
    ) {
        let start = span.start;
        if !self.settled.iter().any(|settled| settled.start <= start && start <= settled.end) {
            let (line, wrong, instead) = (self.line(start), wrong.into(), instead.into());
            self.mistakes
                .push((start, Mistake { file: self.file.to_owned(), line, wrong, instead }));
        }
    }

    /// Hears of nothing more that begins in `stretch` (its end counts).
    pub fn settle(&mut self, stretch: Range<usize>) {
        self.settled.push(stretch);
    }

    /// In the order of the file.
    pub fn into_mistakes(mut self) -> Vec<Mistake> {
        self.mistakes.sort_by_key(|(start, _)| *start);
        self.mistakes.into_iter().map(|(_, mistake)| mistake).collect()
    }

    /// The line of a byte, from 1.
    pub fn line(&self, offset: usize) -> usize {
        1 + self.source.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }

    pub fn file(&self) -> &'a str {
        self.file
    }

    pub fn source(&self) -> &'a str {
        self.source
    }
}
