//! Words that a kind of file does not use.

use super::scope::{anywhere, in_library, in_src};
use super::sizes::function_name;
use crate::finding::Finding;
use crate::repository::Repository;
use crate::source::Source;

/// Words of code that do not occur where `covers` says so.
#[derive(Debug)]
pub(crate) struct Ban {
    words: &'static [&'static str],
    covers: fn(&str) -> bool,
    /// Whether `#[cfg(test)]` is free of it.
    spares_tests: bool,
    instead: &'static str,
    /// The files that may all the same.
    spared: &'static [Spared],
}

/// A file with an exception, and the reason for it.
#[derive(Debug)]
struct Spared {
    path: &'static str,
    because: &'static str,
}

pub(crate) const BANS: &[Ban] = &[
    Ban {
        words: &["dbg!", "todo!", "unimplemented!"],
        covers: anywhere,
        spares_tests: false,
        instead: "finish it",
        spared: &[],
    },
    Ban {
        words: &["#[ignore", "thread::sleep"],
        covers: anywhere,
        spares_tests: false,
        instead: "make the test fast by driving its time",
        spared: &[],
    },
    Ban {
        words: &["#[allow(", "#![allow("],
        covers: anywhere,
        spares_tests: false,
        instead: "write `#[expect(lint, reason = \"..\")]`",
        spared: &[],
    },
    Ban {
        words: &[".unwrap()"],
        covers: in_src,
        spares_tests: true,
        instead: "return the error, or state the invariant with `expect`",
        spared: &[],
    },
    Ban {
        words: &["spawn", "spawn_blocking", "spawn_local"],
        covers: in_library,
        spares_tests: true,
        instead: "let the caller drive the future: a library spawns nothing",
        spared: &[Spared {
            path: "crates/customerio-sim/src/server/listener.rs",
            because: "a server in the process serves its connections while the caller goes on",
        }],
    },
    Ban {
        words: &["print!", "println!", "eprint!", "eprintln!"],
        covers: in_library,
        spares_tests: true,
        instead: "return it: a library prints nothing",
        spared: &[],
    },
    Ban {
        words: &["Instant::now", "SystemTime::now", "UNIX_EPOCH.elapsed"],
        covers: in_src,
        spares_tests: false,
        instead: "take the time as an argument",
        spared: &[
            Spared {
                path: "crates/tower-pace/src/clock.rs",
                because: "the layers read the clock here, so that `pacing` need not",
            },
            Spared {
                path: "crates/bench/src/measure.rs",
                because: "a benchmark measures real time",
            },
            Spared {
                path: "crates/customerio-sim/src/clock.rs",
                because: "a server has a clock of its own: tokio's, so that it can be paused",
            },
            Spared {
                path: "crates/customerio-import/src/clock.rs",
                because: "the program reads its clocks here, and passes moments on",
            },
            Spared {
                path: "crates/customerio-sim/src/bin/cio-sim/main.rs",
                because: "the program starts the simulator's calendar at the real date",
            },
            Spared {
                path: "crates/customerio-import/src/clock.rs",
                because: "the program reads both clocks here, so that nothing else need",
            },
        ],
    },
    Ban {
        words: &[
            "rand::rng",
            "rand::random",
            "thread_rng",
            "SysRng",
            "OsRng",
            "from_os_rng",
            "make_rng",
        ],
        covers: in_src,
        spares_tests: false,
        instead: "take the generator as an argument",
        spared: &[
            Spared {
                path: "crates/tower-pace/src/random.rs",
                because: "the system seeds the jitter of a `RetryLayer` unless the user does",
            },
            Spared {
                path: "crates/customerio/src/client/ids.rs",
                because: "the system makes the ids of events that came without one differ",
            },
        ],
    },
];

/// Finds the words of a ban in one file.
pub(crate) fn banned(ban: &Ban, source: &Source) -> Vec<Finding> {
    let is_spared = ban.spared.iter().any(|spared| spared.path == source.path);
    if !(ban.covers)(&source.path) || is_spared {
        return Vec::new();
    }
    hits(ban, source)
        .map(|(line, word)| {
            let what = format!("`{word}` has no place here; {}", ban.instead);
            Finding::at(&source.path, line, what)
        })
        .collect()
}

/// Finds exceptions that are not needed any more.
pub(crate) fn stale(ban: &Ban, repository: &Repository) -> Vec<Finding> {
    let is_used = |path: &str| {
        let source = Source::new(path, repository.text(path));
        hits(ban, &source).next().is_some()
    };
    ban.spared
        .iter()
        .filter(|spared| !is_used(spared.path))
        .map(|spared| {
            let Spared { path, because } = spared;
            let what = format!(
                "does not use `{}` any more; remove the exception ({because})",
                ban.words[0]
            );
            Finding::of(path, what)
        })
        .collect()
}

/// Finds functions named `get_`, save the accessors that tower's services have by custom.
pub(crate) fn getters(source: &Source) -> Vec<Finding> {
    let wrong = |name: &str| {
        name.starts_with("get_") && !matches!(name, "get_ref" | "get_mut" | "get_pin_mut")
    };
    let lines = source.lines.iter();
    lines
        .filter_map(|line| {
            let name = function_name(&line.code).filter(|name| wrong(name))?;
            let what = format!("`{name}` has the prefix of a getter; drop `get_`");
            Some(Finding::at(&source.path, line.number, what))
        })
        .collect()
}

fn hits(ban: &Ban, source: &Source) -> impl Iterator<Item = (usize, &'static str)> {
    let lines = source
        .lines
        .iter()
        .filter(|line| !(ban.spares_tests && line.is_test));
    lines.flat_map(|line| {
        let found = ban.words.iter().filter(|word| has_word(&line.code, word));
        found.map(|word| (line.number, *word))
    })
}

/// Returns whether `word` occurs in `code` on its own, not as a part of a longer name.
fn has_word(code: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + word.len()..]);
        let starts = !word.starts_with(is_name) || !before.ends_with(is_name);
        let ends = !word.ends_with(is_name) || !after.starts_with(is_name);
        starts && ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: &str = "crates/tower-pace/src/clock.rs";

    fn check(path: &str, text: &str, findings: &[&str]) {
        let source = Source::new(path, text);
        let found: Vec<_> = BANS.iter().flat_map(|ban| banned(ban, &source)).collect();
        assert_eq!(found.len(), findings.len(), "{path}: {text}: {found:?}");
        for (finding, word) in found.iter().zip(findings) {
            assert!(finding.to_string().contains(word), "{finding}");
        }
    }

    #[test]
    fn unfinished_and_silenced_code_is_banned_everywhere() {
        check("examples/a.rs", "dbg!(1);", &["dbg!"]);
        check("crates/a/src/a.rs", "todo!()", &["todo!"]);
        check("crates/a/src/a.rs", "unimplemented!()", &["unimplemented!"]);
        check("tests/a/main.rs", "#[ignore = \"slow\"]", &["#[ignore"]);
        check(
            "tests/a/main.rs",
            "std::thread::sleep(d);",
            &["thread::sleep"],
        );
        check("crates/a/src/a.rs", "#[allow(dead_code)]", &["#[allow("]);
        check("crates/a/src/a.rs", "#[expect(dead_code)]", &[]);
        check("crates/a/src/a.rs", "a(\"dbg!\"); // todo!", &[]);
    }

    #[test]
    fn a_library_neither_unwraps_nor_spawns_nor_prints() {
        check("crates/a/src/a.rs", "a.unwrap();", &[".unwrap()"]);
        check("crates/a/src/a.rs", "a.unwrap_or(1);", &[]);
        check(
            "crates/a/src/a.rs",
            "#[cfg(test)]\nmod t { a.unwrap(); }",
            &[],
        );
        check("crates/a/tests/a.rs", "a.unwrap();", &[]);
        check("crates/a/src/a.rs", "tokio::spawn(a);", &["spawn"]);
        check(
            "crates/a/src/a.rs",
            "set.spawn_blocking(a);",
            &["spawn_blocking"],
        );
        check("crates/a/src/main.rs", "tokio::spawn(a);", &[]);
        check("crates/a/src/a.rs", "println!();", &["println!"]);
        check("crates/a/src/bin/a.rs", "println!();", &[]);
    }

    #[test]
    fn time_and_randomness_are_arguments() {
        check("crates/a/src/a.rs", "Instant::now()", &["Instant::now"]);
        check(
            "crates/a/src/main.rs",
            "SystemTime::now()",
            &["SystemTime::now"],
        );
        check(CLOCK, "Instant::now()", &[]);
        check(CLOCK, "rand::rng()", &["rand::rng"]);
        check("crates/a/src/a.rs", "rand::rngs::SmallRng", &[]);
    }

    #[test]
    fn an_exception_that_nobody_needs_is_found() {
        fn check(text: &str, findings: usize) {
            let repository = Repository::of(&[(CLOCK, text)]);
            let clock = BANS.iter().find(|ban| ban.words[0] == "Instant::now");
            let found = stale(clock.expect("the clock is banned"), &repository);
            let about = found.iter().filter(|f| f.to_string().starts_with(CLOCK));
            assert_eq!(about.count(), findings, "{text}");
        }
        check("Instant::now()", 0);
        check("time::now()", 1);
    }

    #[test]
    fn a_getter_is_named_by_what_it_returns() {
        fn check(text: &str, findings: usize) {
            let found = getters(&Source::new("a.rs", text));
            assert_eq!(found.len(), findings, "{text}");
        }
        check("    pub fn get_limit(&self) {}", 1);
        check("pub fn get_ref(&self) {}", 0);
        check("fn get() {}", 0);
        check("fn target_of() {}", 0);
    }
}
