//! Comments say why, in whole sentences, and promise nothing for later.

use crate::finding::Finding;
use crate::source::{Line, Source};

/// A comment that starts so tells what the next line does, which the line says itself.
const NARRATING: &[&str] = &[
    "Calculate",
    "Check",
    "Create",
    "First",
    "Get",
    "Handle",
    "Return",
    "Set",
    "Then",
    "Try",
    "Update",
];

const PUT_OFF: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];

/// Words that sell. None of them tells a reader anything.
const SELLING: &[&str] = &[
    "blazing",
    "comprehensive",
    "effortless",
    "enterprise-grade",
    "lightning-fast",
    "powerful",
    "robust",
    "seamless",
];

/// Finds comments that open with a narrating word.
pub(crate) fn narrating(source: &Source) -> Vec<Finding> {
    let mut before = false;
    let opens = |line: &Line| {
        let word = line.comment_text().split([' ', ',', ':']).next();
        word.is_some_and(|word| NARRATING.contains(&word))
    };
    let mut findings = Vec::new();
    for line in &source.lines {
        let is_opening = line.is_plain_comment() && !before;
        before = line.is_plain_comment() && !line.is_code();
        if is_opening && opens(line) {
            let what = "a comment narrates; say why the code is so, or nothing";
            findings.push(Finding::at(&source.path, line.number, what));
        }
    }
    findings
}

/// Finds work that was put off in a comment.
pub(crate) fn put_off(source: &Source) -> Vec<Finding> {
    in_comments(source, "puts work off; do it, or file an issue", |line| {
        words(&line.comment).any(|word| PUT_OFF.contains(&word))
    })
}

/// Finds lists whose items open in bold type.
pub(crate) fn bold_bullets(source: &Source) -> Vec<Finding> {
    in_comments(source, "is a bold bullet; write a sentence", |line| {
        is_bold_bullet(line.comment_text())
    })
}

/// Finds adjectives that sell, and pictures.
pub(crate) fn selling(source: &Source) -> Vec<Finding> {
    in_comments(source, "sells; say what is true", |line| {
        sells(&line.comment)
    })
}

/// Finds what would be wrong in a comment, in a Markdown file.
pub(crate) fn markdown(path: &str, text: &str) -> Vec<Finding> {
    if !path.ends_with(".md") {
        return Vec::new();
    }
    let numbered = text.lines().zip(1..);
    numbered
        .filter_map(|(line, number)| {
            let what = if is_bold_bullet(line.trim()) {
                "is a bold bullet; write a sentence"
            } else if sells(line) {
                "sells; say what is true"
            } else if words(line).any(|word| PUT_OFF.contains(&word)) {
                "puts work off; do it, or file an issue"
            } else {
                return None;
            };
            Some(Finding::at(path, number, what))
        })
        .collect()
}

fn in_comments(source: &Source, what: &str, is_wrong: impl Fn(&Line) -> bool) -> Vec<Finding> {
    let lines = source.lines.iter().filter(|line| is_wrong(line));
    lines
        .map(|line| Finding::at(&source.path, line.number, what))
        .collect()
}

fn is_bold_bullet(text: &str) -> bool {
    text.starts_with("- **") || text.starts_with("* **")
}

fn sells(text: &str) -> bool {
    let is_picture = |c: char| matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{2705}' | '\u{2728}');
    text.contains(is_picture) || words(&text.to_lowercase()).any(|word| SELLING.contains(&word))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: fn(&Source) -> Vec<Finding>, text: &str, lines: &[usize]) {
        let found = rule(&Source::new("a.rs", text));
        let found: Vec<_> = found.iter().filter_map(Finding::line).collect();
        assert_eq!(found, lines, "{text}");
    }

    #[test]
    fn a_comment_does_not_narrate() {
        check(narrating, "a();\n// Check the limit.\nb();", &[2]);
        check(narrating, "a(); // Then, the rest", &[1]);
        check(narrating, "// Why it is so.\n// Then what follows.", &[]);
        check(narrating, "a(); // why\n// Set the limit.", &[2]);
        check(narrating, "// Checked by the caller.", &[]);
        check(narrating, "/// Returns it.\n/// Check it.", &[]);
        check(narrating, "a(\"// Check\");", &[]);
    }

    #[test]
    fn a_comment_puts_nothing_off() {
        check(put_off, "// TODO: later", &[1]);
        check(put_off, "a(); /* FIXME(me) */", &[1]);
        check(put_off, "/// TODO", &[1]);
        check(put_off, "// MASTODON\na(\"TODO\");", &[]);
    }

    #[test]
    fn a_list_is_not_bold() {
        check(
            bold_bullets,
            "/// - **Fast**: yes\n/// - fast\n//! * **Safe**",
            &[1, 3],
        );
        check(bold_bullets, "/// a - **b**\nlet a = \"- **b**\";", &[]);
    }

    #[test]
    fn a_comment_does_not_sell() {
        check(selling, "/// A robust retry.\n/// A retry.", &[1]);
        check(selling, "// Seamless", &[1]);
        check(selling, "// done \u{1f680}", &[1]);
        check(selling, "let robust = 1;", &[]);
    }

    #[test]
    fn a_paper_keeps_the_same_rules() {
        let text = "# Title\n\n- **Fast**: no\n- fine\nA powerful tool\nTODO\n";
        let found = markdown("README.md", text);
        let lines: Vec<_> = found.iter().filter_map(Finding::line).collect();
        assert_eq!(lines, [3, 5, 6]);
        assert_eq!(markdown("people.csv", text), []);
    }
}
