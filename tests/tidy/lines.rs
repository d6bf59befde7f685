//! Single lines: their length, and no path of one machine in them.

use crate::repository::Repository;

/// In two pieces each, so that this file has none of them.
const WORKPLACES: [[&str; 2]; 5] = [
    ["/ho", "me/"],
    ["/us", "ers/"],
    ["/ro", "ot/"],
    ["/wo", "rk/"],
    ["../sh", "ared"],
];

const MAX_COLUMNS: usize = 100;

/// Finds paths of the machine on which a file was written.
pub(crate) fn workplaces(repository: &Repository) -> Vec<String> {
    let words = WORKPLACES.map(|pieces| pieces.concat());
    let mut findings = Vec::new();
    for (place, line) in repository.lines("") {
        let line = line.to_lowercase();
        let found = words.iter().filter(|word| line.contains(*word));
        findings.extend(found.map(|word| format!("{place}: names {word}")));
    }
    findings
}

/// Finds source lines over 100 columns: comments and macros, which rustfmt does not wrap. Strings,
/// URLs and rows of tables may be longer. A line inside a string ends in a word or a backslash.
pub(crate) fn long_lines(repository: &Repository) -> Vec<String> {
    let is_text = |line: &str| {
        let ends = line.ends_with(|last: char| last.is_alphanumeric() || last == '\\');
        let mut marks = ["\"", "http", "//! |", "/// |"].iter();
        marks.any(|mark| line.contains(mark)) || (ends && !line.contains("//"))
    };
    let lines = repository.lines(".rs");
    let lines = lines.map(|(place, line)| (place, line, line.chars().count()));
    lines
        .filter(|(_, line, columns)| *columns > MAX_COLUMNS && !is_text(line))
        .map(|(place, _, columns)| format!("{place}: has {columns} columns; wrap it"))
        .collect()
}

#[test]
fn a_path_of_one_machine_is_found() {
    fn check(path: &str, text: &str, findings: usize) {
        let repository = Repository::of(&[(path, text)], &[]);
        assert_eq!(workplaces(&repository).len(), findings, "{path}: {text}");
    }
    check("README.md", concat!("see /ho", "me/me/notes"), 1);
    check("a/b.rs", concat!("// ../Sh", "ared/design.md"), 1);
    check(".ci/run", concat!("cd /wo", "rk/main"), 1);
    check("README.md", "work/main, at home/me", 0);
}

#[test]
fn a_long_line_is_found() {
    fn check(path: &str, line: &str, columns: usize, findings: usize) {
        let text = format!("{line:é<columns$}\n");
        let repository = Repository::of(&[(path, &text)], &[]);
        assert_eq!(long_lines(&repository).len(), findings, "{columns}: {line}");
    }
    check("a.rs", "// ", 100, 0);
    check("a.rs", "// ", 101, 1);
    check("a.rs", "// https://", 101, 0);
    check("a.rs", "a(\"b\");", 101, 0);
    check("README.md", "a", 101, 0);
}
