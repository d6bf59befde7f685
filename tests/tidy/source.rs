//! A Rust file as the rules see it: lines that know whether they are code, comment or test.

use crate::lexer::{Split, split};

/// A file, read once.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) lines: Vec<Line>,
}

/// A line with its number, counted from 1.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) number: usize,
    /// The line without comments, its literals emptied.
    pub(crate) code: String,
    /// The comment with its slashes; empty if there is none.
    pub(crate) comment: String,
    /// Whether the line belongs to an item under `#[cfg(test)]`.
    pub(crate) is_test: bool,
}

impl Line {
    pub(crate) fn is_code(&self) -> bool {
        !self.code.trim().is_empty()
    }

    pub(crate) fn is_doc(&self) -> bool {
        let outer = self.comment.starts_with("///") && !self.comment.starts_with("////");
        !self.is_code() && (outer || self.comment.starts_with("//!"))
    }

    pub(crate) fn is_plain_comment(&self) -> bool {
        !self.comment.trim().is_empty() && !self.is_doc()
    }

    /// Returns the words of the comment, without the slashes.
    pub(crate) fn comment_text(&self) -> &str {
        self.comment.trim_start_matches(['/', '!']).trim()
    }
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let lines = split(text)
            .into_iter()
            .zip(1..)
            .map(|(Split { code, comment }, number)| Line {
                number,
                code,
                comment,
                is_test: false,
            })
            .collect();
        let mut source = Self {
            path: path.into(),
            lines,
        };
        source.mark_tests();
        source
    }

    /// Returns the lines outside `#[cfg(test)]`.
    pub(crate) fn shipped(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| !line.is_test)
    }

    /// Returns the index of the last line of the item that starts at the line with index `start`: where its first block
    /// closes, or the semicolon of an item without one.
    pub(crate) fn item_end(&self, start: usize) -> usize {
        let mut depth = 0_i32;
        for (index, line) in self.lines.iter().enumerate().skip(start) {
            for c in line.code.chars() {
                match c {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 && matches!(c, '}' | ';') {
                    return index;
                }
            }
        }
        self.lines.len().saturating_sub(1)
    }

    fn mark_tests(&mut self) {
        let starts = |line: &Line| {
            let code = line.code.trim();
            code.starts_with("#[cfg(test)]") || code.starts_with("#[cfg(all(test,")
        };
        while let Some(start) = self
            .lines
            .iter()
            .position(|line| !line.is_test && starts(line))
        {
            let end = self.item_end(start);
            for line in &mut self.lines[start..=end] {
                line.is_test = true;
            }
        }
    }
}

#[test]
fn what_is_under_cfg_test_is_test() {
    fn check(text: &str, shipped: &[usize]) {
        let source = Source::new("a.rs", text);
        let numbers: Vec<_> = source.shipped().map(|line| line.number).collect();
        assert_eq!(numbers, shipped);
    }
    check("a();\n#[cfg(test)]\nmod tests {\n    {}\n}\nb();", &[1, 6]);
    check("#[cfg(test)]\nmod tests;\nb();", &[3]);
    check("#[cfg(all(test, unix))]\nmod tests;\nb();", &[3]);
    check("#[cfg(not(test))]\nmod a;", &[1, 2]);
    check("#[cfg(test)]\nfn f(a: [u8; 2]) {\n}\nb();", &[4]);
    check("// #[cfg(test)]\nmod a {}", &[1, 2]);
}

#[test]
fn docs_and_comments_are_told_apart() {
    fn check(line: &str, is_doc: bool, is_plain: bool) {
        let source = Source::new("a.rs", line);
        assert_eq!(source.lines[0].is_doc(), is_doc, "{line}");
        assert_eq!(source.lines[0].is_plain_comment(), is_plain, "{line}");
    }
    check("/// a", true, false);
    check("//! a", true, false);
    check("//// a", false, true);
    check("// a", false, true);
    check("a(); // b", false, true);
    check("a();", false, false);
}
