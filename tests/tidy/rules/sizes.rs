//! Functions and docs stay small enough to be read at a glance.

use std::collections::BTreeMap;

use super::scope::in_src;
use crate::finding::Finding;
use crate::source::Source;

const MAX_FUNCTION_LINES: usize = 60;
const MAX_DOC_PERCENT: usize = 60;

/// Finds code in a `lib.rs` or `mod.rs`, which are the promise of a module and its names.
pub(crate) fn fronts(source: &Source) -> Vec<Finding> {
    let is_front = ["/lib.rs", "/mod.rs"]
        .iter()
        .any(|name| source.path.ends_with(name));
    if !is_front || !in_src(&source.path) {
        return Vec::new();
    }
    let lines = source.shipped().filter(|line| holds_code(&line.code));
    lines
        .map(|line| {
            let what = "is code in the front of a module; move it into a file of its own";
            Finding::at(&source.path, line.number, what)
        })
        .collect()
}

fn holds_code(code: &str) -> bool {
    code.starts_with("impl") || (!code.starts_with(' ') && function_name(code).is_some())
}

/// Finds functions of more than 60 lines, signature and braces included.
pub(crate) fn functions(source: &Source) -> Vec<Finding> {
    let starts = source.lines.iter().enumerate();
    starts
        .filter_map(|(index, line)| {
            let name = function_name(&line.code)?;
            let lines = source.item_end(index) + 1 - index;
            (lines > MAX_FUNCTION_LINES).then(|| {
                let what = format!(
                    "`{name}` has {lines} lines; cut it into steps of at most {MAX_FUNCTION_LINES}"
                );
                Finding::at(&source.path, line.number, what)
            })
        })
        .collect()
}

/// Finds crates whose docs are longer than 60 % of their code, examples included.
pub(crate) fn docs<'a>(sources: impl Iterator<Item = &'a Source>) -> Vec<Finding> {
    let mut crates: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for source in sources.filter(|source| in_src(&source.path)) {
        let name = source.path.split("/src/").next().unwrap_or_default();
        let (docs, code) = crates.entry(name).or_default();
        *docs += source.shipped().filter(|line| line.is_doc()).count();
        *code += source.shipped().filter(|line| line.is_code()).count();
    }
    crates
        .into_iter()
        .filter(|(_, (docs, code))| docs * 100 > code * MAX_DOC_PERCENT)
        .map(|(name, (docs, code))| {
            let what = format!(
                "has {docs} lines of docs for {code} of code; say less, below {MAX_DOC_PERCENT} %"
            );
            Finding::of(name, what)
        })
        .collect()
}

/// Returns the name of the function whose signature starts on this line.
pub(crate) fn function_name(code: &str) -> Option<&str> {
    let (qualifiers, rest) = code.trim_start().split_once("fn ")?;
    let known = |word: &str| {
        matches!(
            word,
            "const" | "async" | "unsafe" | "extern" | "\"\"" | "in"
        ) || word.starts_with("pub")
    };
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    (end > 0 && qualifiers.split_whitespace().all(known)).then(|| &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, lines: &[&str]) -> Source {
        Source::new(path, &lines.join("\n"))
    }

    #[test]
    fn a_front_has_no_code() {
        fn check(path: &str, text: &[&str], lines: &[usize]) {
            let found = fronts(&source(path, text));
            let found: Vec<_> = found.iter().filter_map(Finding::line).collect();
            assert_eq!(found, lines, "{path}");
        }
        let text = ["//! a", "mod b;", "pub use b::c;", "fn f() {}", "impl A {"];
        check("crates/a/src/lib.rs", &text, &[4, 5]);
        check("crates/a/src/b/mod.rs", &text, &[4, 5]);
        check(
            "crates/a/src/b/mod.rs",
            &["trait A {", "    fn a();", "}"],
            &[],
        );
        check("crates/a/src/b.rs", &text, &[]);
        check("tests/support/mod.rs", &text, &[]);
    }

    #[test]
    fn a_function_may_have_60_lines() {
        fn check(signature: &str, body: usize, findings: &[usize]) {
            let mut text = vec!["// before", signature];
            text.extend(vec!["a();"; body]);
            text.extend(["}", "// after"]);
            let found = functions(&source("a.rs", &text));
            let lines: Vec<_> = found.iter().filter_map(Finding::line).collect();
            assert_eq!(lines, findings, "{signature}");
        }
        check("fn f() {", 58, &[]);
        check("fn f() {", 59, &[2]);
        check(
            "pub(crate) const fn f<const N: usize>(a: [u8; N]) {",
            59,
            &[2],
        );
        check("static F: &[fn (u8)] = {", 59, &[]);
        check("    // fn f() {", 59, &[]);
    }

    #[test]
    fn docs_may_be_60_percent_of_a_crate() {
        fn check(docs_lines: usize, code_lines: usize, findings: usize) {
            let doc = source("crates/a/src/lib.rs", &vec!["/// a"; docs_lines]);
            let code = source("crates/a/src/b/c.rs", &vec!["a();"; code_lines]);
            let other = source("crates/b/src/lib.rs", &["a();"; 100]);
            let test = source("crates/a/tests/it.rs", &["/// a"; 100]);
            assert_eq!(docs([doc, code, other, test].iter()).len(), findings);
        }
        check(6, 10, 0);
        check(7, 10, 1);
    }
}
