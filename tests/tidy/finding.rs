//! What a rule found.

use std::fmt;

/// A breach of a rule: where, what, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    /// Counted from 1; none if the finding is about the whole file.
    line: Option<usize>,
    what: String,
}

impl Finding {
    pub(crate) fn at(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line: Some(line),
            what: what.into(),
        }
    }

    pub(crate) fn of(path: &str, what: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line: None,
            what: what.into(),
        }
    }

    pub(crate) fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.what),
            None => write!(f, "{}: {}", self.path, self.what),
        }
    }
}

/// Fails with one line for each finding.
#[track_caller]
pub(crate) fn assert_none(findings: impl IntoIterator<Item = Finding>) {
    let lines: Vec<_> = findings.into_iter().map(|f| f.to_string()).collect();
    assert!(
        lines.is_empty(),
        "{} breaches of a house rule:\n{}\n",
        lines.len(),
        lines.join("\n")
    );
}

#[test]
fn a_finding_says_where() {
    let at = Finding::at("src/a.rs", 7, "is long; cut it");
    assert_eq!(at.to_string(), "src/a.rs:7: is long; cut it");
    let of = Finding::of("src/a.rs", "is long; cut it");
    assert_eq!(of.to_string(), "src/a.rs: is long; cut it");
}
