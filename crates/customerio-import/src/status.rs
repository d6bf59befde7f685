//! The command `status`: shows how far an import is, by its journal.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::args::StatusArgs;
use crate::console::print_output;
use crate::display;
use crate::finish::NOT_PRINTED;
use crate::journal::{self, State};
use crate::ranges;
use crate::report::{Exit, Report};
use crate::settings::default_journal;

/// The most ranges of records that are shown. More would scroll the rest out of a terminal;
/// `--json` has all.
const MAX_LEFT: usize = 20;

/// The state of an import. The names of the fields are public: scripts read them.
#[derive(Debug, Serialize)]
struct Status {
    journal: String,
    /// `running`, `finished` or `stopped`.
    state: Phase,
    kind: String,
    destination: String,
    /// The number of records in the input, or `null` if it was not counted.
    records: Option<u64>,
    settled: u64,
    accepted: u64,
    rejected: u64,
    /// The numbers of the records that are not settled, as in `7, 100-200`. After the last settled
    /// record, they are known only if the records were counted.
    left: String,
    /// The report of a finished import.
    report: Option<Report>,
}

/// Whether the import goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Phase {
    Running,
    Finished,
    Stopped,
}

/// Prints the state of an import. Returns the exit code of a finished import, or that of one that
/// was stopped.
///
/// # Errors
///
/// Fails if there is no journal, or if it is damaged.
pub(crate) fn show(args: &StatusArgs) -> Result<Exit> {
    let path = path(args);
    let (state, is_running) = read(&path).with_context(|| display::path(&path))?;
    let exit = match (&state.report, is_running) {
        (Some(report), false) => report.exit(),
        _ => Exit::Stopped,
    };
    let most = match args.json {
        true => usize::MAX,
        false => MAX_LEFT,
    };
    let status = Status::new(display::path(&path), state, is_running, most);
    let text = match args.json {
        true => serde_json::to_string(&status)?,
        false => status.to_string(),
    };
    print_output(&text).context(NOT_PRINTED)?;
    Ok(exit)
}

/// Returns the path of the journal: that of the flag, or beside the file, or the file itself.
fn path(args: &StatusArgs) -> PathBuf {
    if let Some(path) = &args.journal {
        return path.clone();
    }
    let beside = default_journal(&args.file);
    match !beside.exists() && is_journal(&args.file) {
        true => args.file.clone(),
        false => beside,
    }
}

fn is_journal(path: &Path) -> bool {
    // Anything but a file could block.
    let has_header = |file| journal::read(&file).is_ok_and(|state| state.header.is_some());
    path.is_file() && File::open(path).is_ok_and(has_header)
}

/// Returns the content of a journal, and whether a run is using it.
fn read(path: &Path) -> Result<(State, bool)> {
    let advice = "there is no journal; name the file of the import, or add --journal FILE: a run \
                  with --no-journal has none";
    // Anything but a file could block.
    ensure!(path.is_file(), advice);
    let file = File::open(path).context(advice)?;
    let is_running = journal::is_in_use(&file)?;
    let state = journal::read(&file)?;
    ensure!(
        is_running || state.header.is_some(),
        "the journal is empty: the import has sent nothing"
    );
    Ok((state, is_running))
}

// === impl Status ===

impl Status {
    fn new(journal: String, state: State, is_running: bool, most: usize) -> Self {
        let State {
            header,
            progress,
            report,
            ..
        } = state;
        let (kind, destination) = header
            .map(|header| (header.kind, header.base_url))
            .unwrap_or_default();
        let last = progress.settled.iter().last().map_or(0, |(_, last)| last);
        let end = progress.records.unwrap_or(last).max(last);
        Self {
            journal,
            state: match (is_running, &report) {
                (true, _) => Phase::Running,
                (false, Some(_)) => Phase::Finished,
                (false, None) => Phase::Stopped,
            },
            kind,
            destination,
            records: progress.records,
            settled: progress.settled.len(),
            accepted: progress.accepted,
            rejected: progress.rejected,
            left: ranges::shown(progress.settled.gaps(end), most),
            report,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            journal,
            kind,
            destination,
            settled,
            accepted,
            rejected,
            left,
            ..
        } = self;
        let state = match self.state {
            Phase::Running => "a run is using it",
            Phase::Finished => "finished",
            Phase::Stopped => "not finished; the same command sends the rest",
        };
        writeln!(f, "{journal}: {state}")?;
        // Somebody else may have written the journal, for a terminal to obey.
        let (kind, destination) = (display::escaped(kind), display::escaped(destination));
        writeln!(f, "{kind} to {destination}")?;
        let of = self.records.map(|records| format!(" of {records}"));
        let of = of.unwrap_or_default();
        write!(
            f,
            "{settled}{of} records settled: {accepted} accepted, {rejected} rejected"
        )?;
        if !left.is_empty() {
            write!(f, "\nleft: {left}")?;
        } else if self.records.is_none() && self.state != Phase::Finished {
            write!(f, "\nleft: all after {settled}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_journal_are_printed_escaped() {
        let status = Status {
            kind: "\u{1b}]0;people".into(),
            destination: "https://a\r\u{202e}b".into(),
            ..Status::new("a.csv".into(), State::default(), false, MAX_LEFT)
        };
        let text = status.to_string();
        let expected = "\\u{1b}]0;people to https://a\\r\\u{202e}b\n";
        assert!(text.contains(expected), "{text}");
    }
}
