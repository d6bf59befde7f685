//! Prints to the terminal: progress and problems to the standard error, plan and summary to the
//! standard output.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::time::Instant;

use crate::display;
use crate::report::Totals;

/// How plan, progress and summary are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Text,
    /// One JSON object per line, on the standard output.
    Json,
}

/// Shows progress: a bar on a terminal, else a line for every thousand records.
#[derive(Debug)]
pub(crate) struct Console {
    total: Option<u64>,
    bar: Option<ProgressBar>,
    settled: u64,
    verbosity: u8,
    output: Output,
    wait: Option<ShownWait>,
}

/// A line of progress as `--json` writes it. The names of the fields are public: scripts read them.
#[derive(Debug, Serialize)]
struct ProgressJson {
    r#type: &'static str,
    /// `null` for a stream.
    records: Option<u64>,
    accepted: u64,
    rejected: u64,
    unknown: u64,
    not_sent: u64,
}

/// A wait for the server, or its end, as `--json` writes it.
#[derive(Debug, Serialize)]
struct WaitJson<'a> {
    r#type: &'static str,
    /// `null` at the end of the wait.
    reason: Option<&'a str>,
}

/// A wait for the server that was shown.
#[derive(Debug)]
struct ShownWait {
    message: String,
    since: Instant,
    printed_at: Instant,
}

/// The number of records between two lines of progress. Smaller steps would fill the log of a large
/// import.
const STEP: u64 = 1000;

/// How often a wait is printed again if there is no bar: often enough to show that the program is
/// alive, and rarely enough not to fill a log.
const REPEAT: Duration = Duration::from_secs(60);

impl Console {
    pub(crate) fn new(total: Option<u64>, verbosity: u8, output: Output) -> Self {
        let has_bar = output == Output::Text && io::stderr().is_terminal();
        Self {
            total,
            bar: has_bar.then(|| bar(total)),
            settled: 0,
            verbosity,
            output,
            wait: None,
        }
    }

    /// Returns a console without a bar, whatever the standard error is.
    #[cfg(test)]
    pub(crate) fn without_bar() -> Self {
        Self {
            total: None,
            bar: None,
            settled: 0,
            verbosity: 0,
            output: Output::Text,
            wait: None,
        }
    }

    /// Prints a line above the bar.
    pub(crate) fn print(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| print_error(line)),
            None => print_error(line),
        }
    }

    /// Prints a line if the verbosity is at least `level`: 1 is `-v`, 2 is `-vv`.
    pub(crate) fn verbose(&self, level: u8, line: impl FnOnce() -> String) {
        if self.verbosity >= level {
            self.print(&line());
        }
    }

    /// Shows how many records have an outcome.
    pub(crate) fn show_progress(&mut self, totals: &Totals) {
        let before = self.settled;
        self.settled = totals.records();
        match &self.bar {
            Some(bar) => bar.set_position(self.settled),
            None if self.settled / STEP > before / STEP => self.print_progress(totals),
            None => {}
        }
    }

    fn print_progress(&self, totals: &Totals) {
        match self.output {
            Output::Text => print_error(&self.line(totals)),
            Output::Json => print_json(&ProgressJson {
                r#type: "progress",
                records: self.total,
                accepted: totals.accepted,
                rejected: totals.rejected,
                unknown: totals.unknown,
                not_sent: totals.not_sent,
            }),
        }
    }

    fn print_wait(&self, reason: Option<&str>) {
        if self.output == Output::Json {
            print_json(&WaitJson {
                r#type: "wait",
                reason,
            });
        }
    }

    /// Shows the wait for the server, or its end. With a bar, the wait is shown beside it; without,
    /// it is printed at once and then every minute.
    pub(crate) fn show_wait(&mut self, message: Option<&str>, now: Instant) {
        match (message, &mut self.wait) {
            // Not waiting => not waiting
            (None, None) => {}
            // Waiting => not waiting
            (None, wait) => {
                let since = wait.take().map_or(now, |wait| wait.since);
                self.set_message("");
                self.print_wait(None);
                let waited = display::duration(now - since);
                self.print(&format!(
                    "the server accepts requests again, after {waited}"
                ));
            }
            // Waiting => waiting, for the same reason
            (Some(message), Some(wait)) if wait.message == message => {
                if now - wait.printed_at >= REPEAT {
                    wait.printed_at = now;
                    self.print_without_bar(message);
                }
            }
            // Not waiting, or waiting for another reason => waiting
            (Some(message), wait) => {
                let since = wait.as_ref().map_or(now, |wait| wait.since);
                *wait = Some(ShownWait {
                    message: message.to_owned(),
                    since,
                    printed_at: now,
                });
                self.set_message(message);
                self.print_wait(Some(message));
                self.print_without_bar(message);
            }
        }
    }

    fn set_message(&self, message: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(message.to_owned());
        }
    }

    fn print_without_bar(&self, line: &str) {
        if self.bar.is_none() {
            print_error(line);
        }
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, totals: &Totals) -> String {
        let of = self
            .total
            .map(|total| format!(" of {total}"))
            .unwrap_or_default();
        let Totals {
            accepted,
            rejected,
            unknown,
            ..
        } = totals;
        let settled = self.settled;
        format!(
            "{settled}{of} records: {accepted} accepted, {rejected} rejected, {unknown} unknown"
        )
    }
}

/// Prints a line to the standard error. An error of writing is ignored: there is no other place to
/// report it, and the import goes on.
pub(crate) fn print_error(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints a line of JSON to the standard output. An error of writing is ignored, as for progress on
/// the standard error.
fn print_json(line: &impl Serialize) {
    let json = serde_json::to_string(line).expect("a line of progress can be serialized");
    let _ = print_output(&json);
}

/// Prints to the standard output. A closed pipe is no error: its reader has read enough.
pub(crate) fn print_output(text: &str) -> io::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{bar:40} {human_pos} of {human_len} records, {per_sec}, {eta} left {msg}",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {human_pos} records, {per_sec} {msg}",
        ),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is well-formed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_progress_has_the_counts() {
        let totals = Totals {
            accepted: 2990,
            rejected: 9,
            unknown: 1,
            not_sent: 0,
        };
        let line = |total| {
            Console {
                total,
                settled: totals.records(),
                ..Console::without_bar()
            }
            .line(&totals)
        };
        assert_eq!(
            line(Some(20_093)),
            "3000 of 20093 records: 2990 accepted, 9 rejected, 1 unknown"
        );
        assert_eq!(
            line(None),
            "3000 records: 2990 accepted, 9 rejected, 1 unknown"
        );
    }
}
