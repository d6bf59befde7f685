//! What a person sees while the import runs, on the standard error: progress, and records that were
//! not taken.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use crate::counted;
use crate::report::Totals;

/// Shows progress: a bar on a terminal, else a line for every thousand records.
#[derive(Debug)]
pub(crate) struct Console {
    total: Option<u64>,
    bar: Option<ProgressBar>,
    settled: u64,
    verbosity: u8,
    waiting: Option<Waiting>,
}

/// What the run waits for, as it was told.
#[derive(Debug)]
struct Waiting {
    line: String,
    began: Instant,
    told: Instant,
}

const STEP: u64 = 1000;

/// How often a wait is told again where there is no bar: often enough to show that the program
/// lives.
const REPEAT: Duration = Duration::from_secs(60);

impl Console {
    pub(crate) fn new(total: Option<u64>, verbosity: u8) -> Self {
        let bar = io::stderr().is_terminal().then(|| bar(total));
        Self {
            total,
            bar,
            settled: 0,
            verbosity,
            waiting: None,
        }
    }

    /// Shows no bar, whatever the standard error is.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self {
            total: None,
            bar: None,
            settled: 0,
            verbosity: 0,
            waiting: None,
        }
    }

    /// Prints a line above the bar.
    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| complain(line)),
            None => complain(line),
        }
    }

    /// Prints a line where the user asked for that much; `-v` is level 1, `-vv` level 2.
    pub(crate) fn detail(&self, level: u8, line: impl FnOnce() -> String) {
        if self.verbosity >= level {
            self.say(&line());
        }
    }

    /// Shows how far the run is.
    pub(crate) fn advance(&mut self, totals: &Totals) {
        let before = self.settled;
        self.settled = totals.records();
        match &self.bar {
            Some(bar) => bar.set_position(self.settled),
            None if self.settled / STEP > before / STEP => complain(&self.line(totals)),
            None => {}
        }
    }

    /// Shows what the run waits for, or that it goes on: beside the bar, else a line at once and
    /// then each minute.
    pub(crate) fn wait(&mut self, line: Option<&str>, now: Instant) {
        match (line, &mut self.waiting) {
            (None, None) => {}
            (None, waiting) => {
                let began = waiting.take().map_or(now, |waiting| waiting.began);
                self.show("");
                let waited = counted::time(now - began);
                self.say(&format!("the server takes requests again, after {waited}"));
            }
            (Some(line), Some(waiting)) if waiting.line == line => {
                if now - waiting.told >= REPEAT {
                    waiting.told = now;
                    self.tell_unless_shown(line);
                }
            }
            (Some(line), waiting) => {
                let began = waiting.as_ref().map_or(now, |waiting| waiting.began);
                *waiting = Some(Waiting {
                    line: line.to_owned(),
                    began,
                    told: now,
                });
                self.show(line);
                self.tell_unless_shown(line);
            }
        }
    }

    fn show(&self, message: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(message.to_owned());
        }
    }

    fn tell_unless_shown(&self, line: &str) {
        if self.bar.is_none() {
            complain(line);
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

/// Writes to the standard error; that nobody reads it is no reason to stop.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes to the standard output; a reader who has seen enough is no error.
pub(crate) fn print(text: &str) -> io::Result<()> {
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
    fn a_line_says_how_far_the_run_is() {
        let totals = Totals {
            accepted: 2990,
            rejected: 9,
            unknown: 1,
            not_sent: 0,
        };
        let line = |total| {
            Console {
                total,
                bar: None,
                settled: totals.records(),
                verbosity: 0,
                waiting: None,
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
