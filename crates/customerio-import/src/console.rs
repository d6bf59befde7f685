//! Prints to the terminal: progress and problems to the standard error, plan and summary to the
//! standard output.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use serde::Serialize;
use tokio::time::Instant;

use crate::display;
use crate::progress::{Bound, Progress};
use crate::report::Totals;

/// How plan, progress and summary are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Text,
    /// One JSON object per line, on the standard output.
    Json,
}

/// Shows progress: a bar on a terminal, else a line every ten seconds.
#[derive(Debug)]
pub(crate) struct Console {
    progress: Progress,
    bar: Option<Bar>,
    /// When a line of progress was printed last.
    printed_at: Instant,
    verbosity: u8,
    output: Output,
    wait: Option<ShownWait>,
}

/// A line at the bottom of a terminal. It has no colors.
#[derive(Debug)]
struct Bar {
    bar: ProgressBar,
    /// The same terminal, which knows its width.
    terminal: Box<dyn TermLike>,
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

/// The time between two lines of progress without a terminal. Shorter times would fill the log of a
/// long import.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// The time between two lines of progress with `--json`, whose reader shows or drops them.
const JSON_INTERVAL: Duration = Duration::from_secs(1);

/// The most drawings of the bar per second, as indicatif has it.
const DRAWINGS_PER_SECOND: u8 = 20;

/// How often a wait is printed again if there is no bar: often enough to show that the program is
/// alive, and rarely enough not to fill a log.
const REPEAT: Duration = Duration::from_secs(60);

impl Console {
    /// Returns a console with a bar if the standard error is a terminal that can move its cursor.
    /// `earlier` is the number of records that earlier runs have settled.
    pub(crate) fn new(
        total: Option<u64>,
        earlier: u64,
        verbosity: u8,
        output: Output,
        now: Instant,
    ) -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let has_bar = output == Output::Text && io::stderr().is_terminal() && !is_dumb;
        Self {
            progress: Progress::new(total, earlier, now),
            bar: has_bar.then(|| Bar::on(Term::stderr())),
            printed_at: now,
            verbosity,
            output,
            wait: None,
        }
    }

    /// Returns a console without a bar, whatever the standard error is.
    #[cfg(test)]
    pub(crate) fn without_bar(now: Instant) -> Self {
        Self {
            progress: Progress::new(None, 0, now),
            bar: None,
            printed_at: now,
            verbosity: 0,
            output: Output::Text,
            wait: None,
        }
    }

    /// Returns the progress that was shown last.
    #[cfg(test)]
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Prints a line above the bar.
    pub(crate) fn print(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.bar.println(line),
            None => print_error(line),
        }
    }

    /// Prints a line if the verbosity is at least `level`: 1 is `-v`, 2 is `-vv`.
    pub(crate) fn verbose(&self, level: u8, line: impl FnOnce() -> String) {
        if self.verbosity >= level {
            self.print(&line());
        }
    }

    /// Shows how far the run is. Call it at least twice a second.
    pub(crate) fn show_progress(&mut self, totals: Totals, bound: Bound, now: Instant) {
        let bound = match self.wait {
            Some(_) => Bound::Waiting,
            None => bound,
        };
        self.progress.update(totals, bound, now);
        match &self.bar {
            Some(bar) => bar.show(&self.progress),
            None => self.print_progress(now),
        }
    }

    fn print_progress(&mut self, now: Instant) {
        match self.output {
            Output::Text => {
                if let Some(line) = self.due_line(now) {
                    print_error(&line);
                }
            }
            Output::Json if now - self.printed_at >= JSON_INTERVAL => {
                self.printed_at = now;
                print_json(&self.progress.json());
            }
            Output::Json => {}
        }
    }

    /// Returns the line of progress, once in [`LINE_INTERVAL`]. A wait has lines of its own.
    fn due_line(&mut self, now: Instant) -> Option<String> {
        if self.wait.is_some() || now - self.printed_at < LINE_INTERVAL {
            return None;
        }
        self.printed_at = now;
        Some(self.progress.log_line())
    }

    fn print_wait(&self, reason: Option<&str>) {
        if self.output == Output::Json {
            print_json(&WaitJson {
                r#type: "wait",
                reason,
            });
        }
    }

    /// Shows the wait for the server, or its end. It is printed at once, and without a bar again
    /// every minute.
    pub(crate) fn show_wait(&mut self, message: Option<&str>, now: Instant) {
        match (message, &mut self.wait) {
            // Not waiting => not waiting
            (None, None) => {}
            // Waiting => not waiting
            (None, wait) => {
                let since = wait.take().map_or(now, |wait| wait.since);
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
                    if self.bar.is_none() {
                        print_error(message);
                    }
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
                self.print_wait(Some(message));
                self.print(message);
            }
        }
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.bar.finish_and_clear();
        }
    }
}

// === impl Bar ===

impl Bar {
    fn on(terminal: impl TermLike + Clone + 'static) -> Self {
        let target =
            ProgressDrawTarget::term_like_with_hz(Box::new(terminal.clone()), DRAWINGS_PER_SECOND);
        // The line is composed for the width of the terminal, which may change during the run.
        let style = ProgressStyle::with_template("{msg}").expect("the template is well-formed");
        Self {
            bar: ProgressBar::with_draw_target(None, target).with_style(style),
            terminal: Box::new(terminal),
        }
    }

    fn show(&self, progress: &Progress) {
        let width = self.terminal.width().into();
        self.bar.set_message(progress.bar_line(width));
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

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;

    use super::*;
    use crate::clock;

    const SECOND: Duration = Duration::from_secs(1);

    const WAIT: &str = "waiting since 2026-01-01T00:00:00Z: the server answers with status 503";

    fn totals(accepted: u64, rejected: u64, unknown: u64) -> Totals {
        Totals {
            accepted,
            rejected,
            unknown,
            not_sent: 0,
        }
    }

    /// A run of 25 s with a wait: at these seconds the console shows these totals.
    fn script(total: u64) -> [(u32, Totals, Bound); 5] {
        let part = |tenths: u64| total / 10 * tenths;
        [
            (0, totals(0, 0, 0), Bound::Reading),
            (3, totals(part(3), 8, 0), Bound::RecordLimit),
            (6, totals(part(3), 8, 0), Bound::Answers),
            (15, totals(part(6), total / 20, 1), Bound::Answers),
            (
                25,
                totals(total - total / 20 - 1, total / 20, 1),
                Bound::RequestLimit,
            ),
        ]
    }

    /// Returns the number of colored parts.
    fn colors(terminal: &InMemoryTerm) -> usize {
        let raw = String::from_utf8(terminal.contents_formatted()).unwrap();
        // The terminal itself resets the colors once, with an empty list of them.
        let codes = raw.replace("\u{1b}[m", "");
        let is_color = |code: &&str| {
            let end = code.find(|letter: char| letter.is_ascii_alphabetic());
            end.is_some_and(|end| code[end..].starts_with('m'))
        };
        codes.split("\u{1b}[").skip(1).filter(is_color).count()
    }

    /// Plays the script on a terminal of this width. Returns the whole terminal after each step.
    fn play(width: u16, total: u64, is_stream: bool) -> String {
        let (start, terminal) = (clock::now(), InMemoryTerm::new(24, width));
        let mut console = Console {
            progress: Progress::new((!is_stream).then_some(total), 0, start),
            bar: Some(Bar::on(terminal.clone())),
            ..Console::without_bar(start)
        };
        let mut seen = String::new();
        for (second, totals, bound) in script(total) {
            let now = start + SECOND * second;
            console.show_wait((second == 6).then_some(WAIT), now);
            console.show_progress(totals, bound, now);
            if second == 3 {
                console.print("a.csv:7: column \"age\": is no int");
            }
            assert_eq!(colors(&terminal), 0, "at {second} s");
            seen += &format!("--- {second} s\n{}\n", terminal.contents());
        }
        console.finish();
        seen + "--- end\n" + &terminal.contents()
    }

    #[test]
    fn the_terminal_at_80_columns() {
        let expected = r#"--- 0 s
[>                                                     ] 0 of 20,093, 0 rejected
--- 3 s
a.csv:7: column "age": is no int
[====>           ] 6,035 of 20,093, 8 rejected, 2,012/s (record limit), 7 s left
--- 6 s
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the server answers with status 503
[=======>                  ] 6,035 of 20,093, 8 rejected, waiting for the server
--- 15 s
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the server answers with status 503
the server accepts requests again, after 9.0 s
[========>     ] 64%, 1,004 rejected, 1 unknown, 585/s (slow answers), 13 s left
--- 25 s
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the server answers with status 503
the server accepts requests again, after 9.0 s
[=============] 100%, 1,004 rejected, 1 unknown, 703/s (request limit), 0 s left
--- end
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the server answers with status 503
the server accepts requests again, after 9.0 s"#;
        assert_eq!(play(80, 20_093, false), expected);
    }

    #[test]
    fn the_terminal_at_40_columns() {
        let expected = r#"--- 0 s
[>             ] 0 of 20,093, 0 rejected
--- 3 s
a.csv:7: column "age": is no int
30% 8 rejected, record limit, 7 s
--- 6 s
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the
server answers with status 503
30%, 8 rejected, waiting for the server
--- 15 s
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the
server answers with status 503
the server accepts requests again, after
 9.0 s
64% 1004 rejected, slow answers, 13 s
--- 25 s
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the
server answers with status 503
the server accepts requests again, after
 9.0 s
100% 1004 rejected, request limit, 0 s
--- end
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the
server answers with status 503
the server accepts requests again, after
 9.0 s"#;
        assert_eq!(play(40, 20_093, false), expected);
    }

    #[test]
    fn a_long_run_fits_into_80_columns() {
        let expected = r#"--- 0 s
[>                                                 ] 0 of 10,000,000, 0 rejected
--- 3 s
a.csv:7: column "age": is no int
[===>      ] 30% of 10,000,000, 8 rejected, 1,000,003/s (record limit), 7 s left
--- 6 s
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the server answers with status 503
[=====>            ] 3,000,008 of 10,000,000, 8 rejected, waiting for the server
--- 15 s
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the server answers with status 503
the server accepts requests again, after 9.0 s
[=====>  ] 65%, 500,000 rejected, 1 unknown, 291,666/s (slow answers), 12 s left
--- 25 s
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the server answers with status 503
the server accepts requests again, after 9.0 s
100%, 500,000 rejected, 1 unknown, 350,000/s (request limit), 0 s left
--- end
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the server answers with status 503
the server accepts requests again, after 9.0 s"#;
        assert_eq!(play(80, 10_000_000, false), expected);
    }

    #[test]
    fn a_stream_has_no_end_at_80_columns() {
        let expected = r#"--- 0 s
0 records, 0 rejected
--- 3 s
a.csv:7: column "age": is no int
3,000,008 records, 8 rejected, 1,000,003/s (record limit)
--- 6 s
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the server answers with status 503
3,000,008 records, 8 rejected, waiting for the server
--- 15 s
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the server answers with status 503
the server accepts requests again, after 9.0 s
6,500,001 records, 500,000 rejected, 1 unknown, 291,666/s (slow answers)
--- 25 s
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the server answers with status 503
the server accepts requests again, after 9.0 s
10,000,000 records, 500,000 rejected, 1 unknown, 350,000/s (request limit)
--- end
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the server answers with status 503
the server accepts requests again, after 9.0 s"#;
        assert_eq!(play(80, 10_000_000, true), expected);
    }

    #[test]
    fn a_stream_has_no_end_at_40_columns() {
        let expected = r#"--- 0 s
0 records, 0 rejected
--- 3 s
a.csv:7: column "age": is no int
3M, 8 rejected, record limit
--- 6 s
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the
server answers with status 503
3M, 8 rejected, waiting
--- 15 s
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the
server answers with status 503
the server accepts requests again, after
 9.0 s
6M, 500k rejected, slow answers
--- 25 s
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the
server answers with status 503
the server accepts requests again, after
 9.0 s
10M, 500k rejected, request limit
--- end
a.csv:7: column "age": is no int
waiting since 2026-01-01T00:00:00Z: the
server answers with status 503
the server accepts requests again, after
 9.0 s"#;
        assert_eq!(play(40, 10_000_000, true), expected);
    }

    #[test]
    fn without_a_terminal_there_is_a_line_every_ten_seconds() {
        let start = clock::now();
        let mut console = Console {
            progress: Progress::new(Some(20_093), 0, start),
            ..Console::without_bar(start)
        };
        let mut lines = String::new();
        // Twice a second, as the pipeline does.
        for step in 0..70 {
            let now = start + SECOND / 2 * step;
            // The standard error has the wait; its end prints a line too.
            console.show_wait((20..44).contains(&step).then_some(WAIT), now);
            let settled = match step {
                0..20 => u64::from(step) * 500,
                20..44 => 10_000,
                _ => u64::from(step - 44) * 300 + 10_000,
            };
            console
                .progress
                .update(totals(settled, 9, 0), Bound::RecordLimit, now);
            if let Some(line) = console.due_line(now) {
                lines += &format!("{} s: {line}\n", step / 2);
            }
        }
        let expected = r#"22 s: 10009 of 20093 records: 10000 accepted, 9 rejected, 0 unknown; 455/s; limited by: record limit; 23 s left
32 s: 16009 of 20093 records: 16000 accepted, 9 rejected, 0 unknown; 600/s; limited by: record limit; 7 s left
"#;
        assert_eq!(lines, expected);
    }
}
