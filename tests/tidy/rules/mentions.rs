//! What a file does not mention, in code, comments or text.

use crate::finding::Finding;

/// A word that must not occur, in any case, under one of some paths.
#[derive(Debug)]
pub(crate) struct Mention {
    /// In pieces, so that this file does not mention it.
    word: &'static [&'static str],
    under: &'static [&'static str],
    instead: &'static str,
}

const EVERYWHERE: &[&str] = &[""];
const NO_WORKPLACE: &str = "name no path of one machine: say it in the repository's own words";

pub(crate) const MENTIONS: &[Mention] = &[
    Mention {
        word: &["tokio"],
        under: &["crates/pacing/"],
        instead: "the arithmetic knows no runtime",
    },
    Mention {
        word: &["customer"],
        under: &["crates/pacing/", "crates/tower-pace/"],
        instead: "the layers know no API by name",
    },
    Mention {
        word: &["/ho", "me/"],
        under: EVERYWHERE,
        instead: NO_WORKPLACE,
    },
    Mention {
        word: &["/us", "ers/"],
        under: EVERYWHERE,
        instead: NO_WORKPLACE,
    },
    Mention {
        word: &["/ro", "ot/"],
        under: EVERYWHERE,
        instead: NO_WORKPLACE,
    },
    Mention {
        word: &["/wo", "rk/"],
        under: EVERYWHERE,
        instead: NO_WORKPLACE,
    },
    Mention {
        word: &["../sh", "ared"],
        under: EVERYWHERE,
        instead: NO_WORKPLACE,
    },
];

/// Finds the lines of a file that mention the word.
pub(crate) fn mentions(mention: &Mention, path: &str, text: &str) -> Vec<Finding> {
    if !mention.under.iter().any(|under| path.starts_with(under)) {
        return Vec::new();
    }
    let word = mention.word.concat();
    let lines = text.lines().zip(1..);
    lines
        .filter(|(line, _)| line.to_lowercase().contains(&word))
        .map(|(_, number)| {
            let what = format!("mentions `{word}`; {}", mention.instead);
            Finding::at(path, number, what)
        })
        .collect()
}

#[test]
fn a_file_mentions_only_what_it_may_know() {
    fn check(path: &str, text: &str, lines: &[usize]) {
        let found = MENTIONS.iter().flat_map(|m| mentions(m, path, text));
        let found: Vec<_> = found.filter_map(|finding| finding.line()).collect();
        assert_eq!(found, lines, "{path}: {text}");
    }
    check("crates/pacing/src/a.rs", "// a\n// as Tokio does", &[2]);
    check("crates/pacing/Cargo.toml", "tokio = \"1\"", &[1]);
    check("crates/tower-pace/Cargo.toml", "tokio = \"1\"", &[]);
    check("crates/pacing/README.md", "Customer.io", &[1]);
    check("crates/tower-pace/src/a.rs", "a(\"customer\")", &[1]);
    check("crates/customerio/src/a.rs", "a(\"customer\")", &[]);
    check("README.md", concat!("see /ho", "me/me/notes"), &[1]);
    check("a/b.rs", concat!("// ../sh", "ared/design.md"), &[1]);
    check(".ci/run", concat!("cd /wo", "rk/main"), &[1]);
    check("README.md", "work/main, at home/me", &[]);
}
