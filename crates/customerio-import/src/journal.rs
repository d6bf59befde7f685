//! Records that a run is finished, so that it is not sent again. A run is finished if all of its
//! records are accepted or rejected.
//!
//! A journal is two lines of JSON: a header, which names the destination and the import, and the
//! report of the finished run. Without the second line, the run was stopped or left records
//! unknown or not sent. The next run then sends all records again, with the same event ids.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::display;
use crate::files::{sync_folder, truncate};
use crate::report::Report;

const VERSION: u32 = 1;

/// The most bytes that are read. The two lines are always shorter; a longer file is not a journal.
const MAX_BYTES: u64 = 64 * 1024;

/// The destination and the import. A journal belongs to the run with the same header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    version: u32,
    pub(crate) base_url: String,
    /// A hash of the site id, which is half of the credentials.
    pub(crate) site: String,
    pub(crate) kind: String,
    pub(crate) mapping: String,
    pub(crate) import_id: String,
    /// The beginning of the run, as RFC 3339: `verify` asks for failures since then. Journals of
    /// earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
}

/// A journal on disk, locked until it is dropped. Dropping removes it if it is empty.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    header: Header,
    is_empty: bool,
}

/// Whether the run is finished, by its journal.
#[derive(Debug)]
pub(crate) enum LoadedJournal {
    /// Call [`Journal::begin`], send, then call [`Journal::complete`].
    Unfinished(Journal),
    /// An earlier run is finished; this is its report.
    Finished(Report),
}

/// The action if an earlier run is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfFinished {
    Skip,
    SendAgain,
}

/// The second line of a journal. The name `complete` is part of the format of version 1.
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
            started_at: None,
        }
    }

    /// Returns the first part that differs from another header.
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
    /// Locks and reads a journal.
    ///
    /// # Errors
    ///
    /// Fails if the journal belongs to another run, is damaged, or is in use by another process.
    pub(crate) fn load(
        file: File,
        path: &Path,
        header: Header,
        if_finished: IfFinished,
    ) -> Result<LoadedJournal> {
        let mut journal = Self::lock(file, path, header)?;
        let text = journal.read()?;
        journal.is_empty = text.is_empty();
        let report =
            finished_report(&text, &journal.header).with_context(|| display::path(path))?;
        Ok(match report.filter(|_| if_finished == IfFinished::Skip) {
            Some(report) => LoadedJournal::Finished(report),
            None => LoadedJournal::Unfinished(journal),
        })
    }

    /// Writes the header in place of an earlier run, and syncs it to disk. `now` is in seconds
    /// since 1970.
    pub(crate) fn begin(&mut self, now: i64) -> Result<()> {
        self.header.started_at = Some(clock::rfc3339(now));
        truncate(&self.file, &self.path)?;
        // If the disk is full, dropping removes the file with the part of the header.
        self.is_empty = true;
        self.file.rewind()?;
        self.append(&self.header)?;
        self.is_empty = false;
        Ok(())
    }

    /// Writes that the run is finished, and syncs it to disk.
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
                    "{}: another import is using this journal; wait until it ends",
                    display::path(path)
                )
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| {
                let path = display::path(path);
                format!("{path}: the journal cannot be locked; add --no-journal")
            }),
        }
    }

    fn read(&self) -> Result<String> {
        let mut text = String::new();
        let path = display::path(&self.path);
        (&self.file)
            .take(MAX_BYTES)
            .read_to_string(&mut text)
            .with_context(|| {
                format!(
                    "{path}: the journal cannot be read; name another file with --journal, or add \
                     --no-journal"
                )
            })?;
        Ok(text)
    }

    fn append(&self, entry: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        (&self.file)
            .write_all(&line)
            .and_then(|()| self.file.sync_all())
            .with_context(|| {
                let path = display::path(&self.path);
                format!("{path}: the journal cannot be written; free some disk space")
            })
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.is_empty {
            // An error is ignored: an empty journal does no harm.
            let _ = fs::remove_file(&self.path).map(|()| sync_folder(&self.path));
        }
    }
}

/// Returns the report of a finished run, or nothing if the journal is new or its run unfinished.
fn finished_report(text: &str, header: &Header) -> Result<Option<Report>> {
    let mut lines = text.split_inclusive('\n');
    // A crash while the header was written leaves a part of it; nothing had been sent.
    let Some(first) = lines.next().filter(|line| line.ends_with('\n')) else {
        return check_partial_header(text).map(|()| None);
    };
    let found: Header = serde_json::from_str(first).map_err(|_| not_a_journal())?;
    if let Some(part) = found.difference(header) {
        bail!(
            "this journal belongs to another run: {part} differs; name another file with --journal"
        );
    }
    let Some(second) = lines.next().filter(|line| line.ends_with('\n')) else {
        return Ok(None);
    };
    let completion: Completion = serde_json::from_str(second).map_err(|_| not_a_journal())?;
    // Earlier versions wrote this line also for runs that had left records unknown.
    Ok(Some(completion.complete).filter(Report::is_settled))
}

/// Fails unless the text is a part of a header: another file must not be overwritten.
fn check_partial_header(text: &str) -> Result<()> {
    let start = format!("{{\"version\":{VERSION}");
    if text.starts_with(&start) || start.starts_with(text) {
        Ok(())
    } else {
        Err(not_a_journal())
    }
}

fn not_a_journal() -> anyhow::Error {
    anyhow!("this file is not an import journal, or it is damaged; name another with --journal")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::files::{Role, Roles};
    use crate::report::{Totals, Traffic};

    const NOW: i64 = 1_767_225_600;

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

    fn open(path: &Path, header: &Header) -> Result<LoadedJournal> {
        open_to(path, header, IfFinished::Skip)
    }

    fn open_to(path: &Path, header: &Header, if_finished: IfFinished) -> Result<LoadedJournal> {
        let file = Roles::new(None).open(Role::Journal, path)?;
        Journal::load(file, path, header.clone(), if_finished)
    }

    fn begin(path: &Path) -> Journal {
        let LoadedJournal::Unfinished(mut journal) = open(path, &header()).unwrap() else {
            panic!("is not complete")
        };
        journal.begin(NOW).unwrap();
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
    fn a_finished_run_is_skipped_unless_it_is_to_be_sent_again() {
        with_path(|path| {
            finish(path);
            assert!(
                matches!(open(path, &header()).unwrap(), LoadedJournal::Finished(found)
                    if found == report())
            );
            let LoadedJournal::Unfinished(mut again) =
                open_to(path, &header(), IfFinished::SendAgain).unwrap()
            else {
                panic!("the run is to be sent again")
            };
            again.begin(NOW).unwrap();
            drop(again);
            assert!(matches!(
                open(path, &header()).unwrap(),
                LoadedJournal::Unfinished(_)
            ));
        });
    }

    #[test]
    fn a_run_that_was_stopped_is_unfinished() {
        with_path(|path| {
            drop(begin(path));
            assert!(matches!(
                open(path, &header()).unwrap(),
                LoadedJournal::Unfinished(_)
            ));
        });
    }

    #[test]
    fn a_run_that_left_records_unknown_or_not_sent_is_unfinished() {
        for (unknown, not_sent) in [(1, 0), (0, 1)] {
            with_path(|path| {
                let left = Report {
                    unknown,
                    not_sent,
                    ..report()
                };
                begin(path).complete(&left).unwrap();
                let opened = open(path, &header()).unwrap();
                assert!(matches!(opened, LoadedJournal::Unfinished(_)));
            });
        }
    }

    #[test]
    fn a_run_that_did_not_begin_leaves_the_journal_unchanged() {
        with_path(|path| {
            drop(open(path, &header()).unwrap());
            assert!(!path.exists());
            finish(path);
            drop(open_to(path, &header(), IfFinished::SendAgain).unwrap());
            assert!(matches!(
                open(path, &header()).unwrap(),
                LoadedJournal::Finished(_)
            ));
        });
    }

    #[test]
    fn a_journal_cut_off_by_a_crash_is_unfinished() {
        with_path(|path| {
            finish(path);
            let whole = fs::read_to_string(path).unwrap();
            for length in 0..whole.len() {
                fs::write(path, &whole[..length]).unwrap();
                assert!(
                    matches!(open(path, &header()).unwrap(), LoadedJournal::Unfinished(_)),
                    "{length}"
                );
            }
        });
    }

    #[test]
    fn a_journal_of_another_run_is_refused_with_the_part_that_differs() {
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
    fn a_file_that_is_not_a_journal_is_left_unchanged() {
        with_path(|path| {
            for content in ["id,name\n1,Ada\n", "{}", "{}\n"] {
                fs::write(path, content).unwrap();
                let error = format!("{:#}", open(path, &header()).unwrap_err());
                assert!(error.contains("not an import journal"), "{error}");
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
