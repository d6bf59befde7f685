//! Remembers a finished run, so that it is not sent again: one whose records are all accepted or
//! rejected.
//!
//! Two lines of JSON: the header names what is sent where, the second line says that the run has
//! come to its end. A journal without the second line is of a run that stopped, or that left
//! records unknown or not sent; the next run starts over with the same event ids.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use crate::files::{empty, shown, sync_folder};
use crate::report::Report;

const VERSION: u32 = 1;

/// More than two lines can have; what is longer is no journal.
const MAX_BYTES: u64 = 64 * 1024;

/// Names the destination and what is sent there. A journal serves the run whose header is equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    version: u32,
    pub(crate) base_url: String,
    /// A hash: the site id itself is half a credential.
    pub(crate) site: String,
    pub(crate) kind: String,
    pub(crate) mapping: String,
    pub(crate) import_id: String,
}

/// A journal on disk, locked until it is dropped. An empty one that was never begun is removed
/// then.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    header: Header,
    is_empty: bool,
}

/// What a journal says of the run at hand.
#[derive(Debug)]
pub(crate) enum Opened {
    /// [`Journal::begin`], send, then [`Journal::complete`].
    Unfinished(Journal),
    /// The run came to its end before.
    Complete(Report),
}

/// What to do about a run that came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfComplete {
    Keep,
    StartOver,
}

#[derive(Serialize, Deserialize)]
struct Completion {
    complete: Report,
}

// === impl Header ===

impl Header {
    pub(crate) fn new(
        base_url: &str,
        site: &str,
        kind: &str,
        mapping: &str,
        import_id: &str,
    ) -> Self {
        let [base_url, site, kind, mapping, import_id] =
            [base_url, site, kind, mapping, import_id].map(str::to_owned);
        Self {
            version: VERSION,
            base_url,
            site,
            kind,
            mapping,
            import_id,
        }
    }

    /// Returns the first part in which another run differs.
    fn difference(&self, other: &Self) -> Option<&'static str> {
        let parts = [
            ("the version of the journal", self.version == other.version),
            ("the base URL", self.base_url == other.base_url),
            ("the site id", self.site == other.site),
            ("the kind of records", self.kind == other.kind),
            ("the mapping of columns", self.mapping == other.mapping),
            (
                "the content of the file or the import id",
                self.import_id == other.import_id,
            ),
        ];
        parts
            .into_iter()
            .find(|(_, same)| !same)
            .map(|(part, _)| part)
    }
}

// === impl Journal ===

impl Journal {
    /// Locks the file that is the journal of a run, and reads it.
    ///
    /// # Errors
    ///
    /// Fails where the journal belongs to another run, is damaged, or is in use by another process.
    pub(crate) fn load(
        file: File,
        path: &Path,
        header: Header,
        if_complete: IfComplete,
    ) -> Result<Opened> {
        let mut journal = Self::lock(file, path, header)?;
        let text = journal.read()?;
        journal.is_empty = text.is_empty();
        let past = past(&text, &journal.header).with_context(|| shown(path))?;
        Ok(match past.filter(|_| if_complete == IfComplete::Keep) {
            Some(report) => Opened::Complete(report),
            None => Opened::Unfinished(journal),
        })
    }

    /// Writes down what is about to be sent where, in place of an earlier run.
    pub(crate) fn begin(&mut self) -> Result<()> {
        empty(&self.file, &self.path)?;
        // What a full disk took of the header goes with the file.
        self.is_empty = true;
        self.file.rewind()?;
        self.append(&self.header)?;
        self.is_empty = false;
        Ok(())
    }

    /// Writes down, on the disk, that the run has come to its end.
    pub(crate) fn complete(self, report: &Report) -> Result<()> {
        self.append(&Completion {
            complete: report.clone(),
        })
    }

    fn lock(file: File, path: &Path, header: Header) -> Result<Self> {
        match file.try_lock() {
            Ok(()) => Ok(Self {
                file,
                path: path.to_owned(),
                header,
                is_empty: false,
            }),
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "{}: another import is using this journal; wait for its end",
                    shown(path)
                )
            }
            Err(TryLockError::Error(error)) => Err(error)
                .with_context(|| format!("{}: cannot be locked; use --no-journal", shown(path))),
        }
    }

    fn read(&self) -> Result<String> {
        let mut text = String::new();
        let shown = shown(&self.path);
        (&self.file)
            .take(MAX_BYTES)
            .read_to_string(&mut text)
            .with_context(|| format!("{shown}: cannot be read"))?;
        Ok(text)
    }

    fn append(&self, entry: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        (&self.file)
            .write_all(&line)
            .and_then(|()| self.file.sync_all())
            .with_context(|| {
                format!(
                    "{}: the journal cannot be written; free some space",
                    shown(&self.path)
                )
            })
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.is_empty {
            // What cannot be removed is left: an empty journal is of no run.
            let _ = fs::remove_file(&self.path).map(|()| sync_folder(&self.path));
        }
    }
}

/// Returns the report of a run that came to its end; `None` for a journal that is new or of a run
/// that did not.
fn past(text: &str, header: &Header) -> Result<Option<Report>> {
    let mut lines = text.split_inclusive('\n');
    // A torn first line is what a crash at the very start leaves: nothing had been sent.
    let Some(first) = lines.next().filter(|line| line.ends_with('\n')) else {
        return torn(text);
    };
    let found: Header = serde_json::from_str(first).map_err(|_| not_a_journal())?;
    if let Some(part) = found.difference(header) {
        bail!("this journal is of another run: {part} differs; name another with --journal");
    }
    let Some(second) = lines.next().filter(|line| line.ends_with('\n')) else {
        return Ok(None);
    };
    let completion: Completion = serde_json::from_str(second).map_err(|_| not_a_journal())?;
    // Earlier versions remembered runs, too, that had left records unknown.
    Ok(Some(completion.complete).filter(Report::is_settled))
}

fn torn(text: &str) -> Result<Option<Report>> {
    let opening = format!("{{\"version\":{VERSION}");
    if text.starts_with(&opening) || opening.starts_with(text) {
        Ok(None)
    } else {
        Err(not_a_journal())
    }
}

fn not_a_journal() -> anyhow::Error {
    anyhow!("this is no journal of an import, or it is damaged; name another with --journal")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::files::{Role, Roles};
    use crate::report::{Totals, Traffic};

    fn header() -> Header {
        Header::new("https://track.customer.io", "5173", "people", "id", "abc")
    }

    fn report() -> Report {
        let totals = Totals {
            accepted: 3,
            rejected: 1,
            ..Totals::default()
        };
        Report::new(4, totals, Traffic::default(), Duration::from_millis(1234))
    }

    fn open(path: &Path, header: &Header) -> Result<Opened> {
        open_to(path, header, IfComplete::Keep)
    }

    fn open_to(path: &Path, header: &Header, if_complete: IfComplete) -> Result<Opened> {
        let file = Roles::new(None).open(Role::Journal, path)?;
        Journal::load(file, path, header.clone(), if_complete)
    }

    fn begin(path: &Path) -> Journal {
        let Opened::Unfinished(mut journal) = open(path, &header()).unwrap() else {
            panic!("is not complete")
        };
        journal.begin().unwrap();
        journal
    }

    fn finish(path: &Path) {
        begin(path).complete(&report()).unwrap();
    }

    fn with_path(test: impl FnOnce(&Path)) {
        let folder = tempfile::tempdir().unwrap();
        test(&folder.path().join("people.csv.cio-journal"));
    }

    #[test]
    fn a_finished_run_is_remembered_until_asked_to_start_over() {
        with_path(|path| {
            finish(path);
            assert!(
                matches!(open(path, &header()).unwrap(), Opened::Complete(found) if found == report())
            );
            let Opened::Unfinished(mut again) =
                open_to(path, &header(), IfComplete::StartOver).unwrap()
            else {
                panic!("starts over")
            };
            again.begin().unwrap();
            drop(again);
            assert!(matches!(
                open(path, &header()).unwrap(),
                Opened::Unfinished(_)
            ));
        });
    }

    #[test]
    fn a_run_that_did_not_come_to_its_end_is_started_over() {
        with_path(|path| {
            drop(begin(path));
            assert!(matches!(
                open(path, &header()).unwrap(),
                Opened::Unfinished(_)
            ));
        });
    }

    #[test]
    fn a_run_that_left_records_is_not_remembered_as_finished() {
        for (unknown, not_sent) in [(1, 0), (0, 1)] {
            with_path(|path| {
                let left = Report {
                    unknown,
                    not_sent,
                    ..report()
                };
                begin(path).complete(&left).unwrap();
                let opened = open(path, &header()).unwrap();
                assert!(matches!(opened, Opened::Unfinished(_)));
            });
        }
    }

    #[test]
    fn a_run_that_did_not_begin_leaves_what_was_there() {
        with_path(|path| {
            drop(open(path, &header()).unwrap());
            assert!(!path.exists());
            finish(path);
            drop(open_to(path, &header(), IfComplete::StartOver).unwrap());
            assert!(matches!(
                open(path, &header()).unwrap(),
                Opened::Complete(_)
            ));
        });
    }

    #[test]
    fn torn_last_lines_are_what_a_crash_leaves() {
        with_path(|path| {
            finish(path);
            let whole = fs::read_to_string(path).unwrap();
            for length in 0..whole.len() {
                fs::write(path, &whole[..length]).unwrap();
                assert!(
                    matches!(open(path, &header()).unwrap(), Opened::Unfinished(_)),
                    "{length}"
                );
            }
        });
    }

    #[test]
    fn a_journal_of_another_run_is_refused_by_the_part_that_differs() {
        let base = header();
        for (other, part) in [
            (
                Header {
                    version: 2,
                    ..base.clone()
                },
                "the version of the journal",
            ),
            (
                Header {
                    base_url: "https://track-eu.customer.io".into(),
                    ..base.clone()
                },
                "the base URL",
            ),
            (
                Header {
                    site: "1".into(),
                    ..base.clone()
                },
                "the site id",
            ),
            (
                Header {
                    kind: "events".into(),
                    ..base.clone()
                },
                "the kind of records",
            ),
            (
                Header {
                    mapping: "email".into(),
                    ..base.clone()
                },
                "the mapping of columns",
            ),
            (
                Header {
                    import_id: "def".into(),
                    ..base
                },
                "the content of the file or the import id",
            ),
        ] {
            with_path(|path| {
                finish(path);
                let error = format!("{:#}", open(path, &other).unwrap_err());
                assert!(
                    error.contains(&format!("another run: {part} differs")),
                    "{error}"
                );
            });
        }
    }

    #[test]
    fn a_file_that_is_no_journal_is_left_alone() {
        with_path(|path| {
            for content in ["id,name\n1,Ada\n", "{}", "{}\n"] {
                fs::write(path, content).unwrap();
                let error = format!("{:#}", open(path, &header()).unwrap_err());
                assert!(error.contains("no journal of an import"), "{error}");
                assert_eq!(fs::read_to_string(path).unwrap(), content);
            }
        });
    }

    #[test]
    fn two_imports_cannot_share_a_journal() {
        with_path(|path| {
            let first = open(path, &header()).unwrap();
            let error = open(path, &header()).unwrap_err().to_string();
            assert!(
                error.contains("another import is using this journal"),
                "{error}"
            );
            drop(first);
            assert!(open(path, &header()).is_ok());
        });
    }
}
