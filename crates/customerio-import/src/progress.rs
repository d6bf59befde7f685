//! How far a run is, how fast, and what bounds it: as one line of any width, and as JSON.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::display::{self, grouped, rounded};
use crate::report::Totals;

/// The time over which the rate is measured. A shorter one shows the gaps between two batches, a
/// longer one is late after a change.
const WINDOW: Duration = Duration::from_secs(10);

/// The least time between two samples of the rate, so that a window has at most 40 of them.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(250);

/// The fewest cells of a bar that is worth its place. The text tells more than a shorter one.
const MIN_CELLS: usize = 8;

/// From this number on, a narrow line shows whole thousands: five digits leave no room for the
/// rest.
const ROUNDED_FROM: u64 = 10_000;

/// The reason why a run is not faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    /// Requests are queued for `--record-limit`.
    RecordLimit,
    /// Requests are queued for `--limit`.
    RequestLimit,
    /// As many requests are in flight as `--concurrency` allows.
    Answers,
    /// Records wait for the answer about an earlier record of the same person.
    Order,
    /// Everything that was read is sent.
    Reading,
    /// The run waits for the server.
    Waiting,
}

/// How far a run is, and how fast.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The number of records, or nothing for a stream.
    total: Option<u64>,
    totals: Totals,
    bound: Bound,
    /// The beginning of the run, and the records that earlier runs have settled.
    started: (Instant, u64),
    now: Instant,
    /// Times and records with an outcome, from the begin of the window to now.
    samples: VecDeque<(Instant, u64)>,
}

/// A line of progress as `--json` writes it. The names of the fields are public: scripts read them.
#[derive(Debug, Serialize)]
pub(crate) struct ProgressJson {
    r#type: &'static str,
    /// `null` for a stream.
    records: Option<u64>,
    accepted: u64,
    rejected: u64,
    unknown: u64,
    not_sent: u64,
    /// `null` in the first second.
    records_per_second: Option<f64>,
    limited_by: Bound,
    /// `null` if it cannot be estimated.
    seconds_left: Option<u64>,
}

// === impl Bound ===

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::RecordLimit => "record limit",
            Self::RequestLimit => "request limit",
            Self::Answers => "slow answers",
            Self::Order => "record order",
            Self::Reading => "reading",
            Self::Waiting => "waiting",
        })
    }
}

// === impl Progress ===

impl Progress {
    /// Returns the progress at the beginning of a run. `earlier` is the number of records that
    /// earlier runs have settled: they count as done, and not for the rate.
    pub(crate) fn new(total: Option<u64>, earlier: u64, now: Instant) -> Self {
        Self {
            total,
            totals: Totals::default(),
            bound: Bound::Reading,
            started: (now, earlier),
            now,
            samples: VecDeque::from([(now, earlier)]),
        }
    }

    pub(crate) fn update(&mut self, totals: Totals, bound: Bound, now: Instant) {
        (self.totals, self.bound, self.now) = (totals, bound, now);
        let sampled_at = self.samples.back().map_or(self.started.0, |(at, _)| *at);
        if now - sampled_at >= SAMPLE_INTERVAL {
            self.samples.push_back((now, totals.records()));
        }
        // The oldest sample is the last one before the window, so that the window is full.
        while self
            .samples
            .get(1)
            .is_some_and(|(at, _)| now - *at >= WINDOW)
        {
            self.samples.pop_front();
        }
    }

    /// Returns the records per second: over the window, or since the start if the window has none.
    /// Returns nothing in the first second.
    fn rate(&self) -> Option<f64> {
        let settled = self.totals.records();
        let since = |(at, records): (Instant, u64)| {
            let time = self.now - at;
            let is_long = time >= Duration::from_secs(1);
            is_long.then(|| settled.saturating_sub(records) as f64 / time.as_secs_f64())
        };
        let recent = self.samples.front().copied().and_then(since)?;
        match recent > 0.0 {
            true => Some(recent),
            false => since(self.started),
        }
    }

    /// Returns the time until the end, at the present rate. Returns nothing during a wait, which
    /// has no known end.
    fn time_left(&self) -> Option<Duration> {
        let left = self.total?.saturating_sub(self.totals.records());
        let rate = self.rate().filter(|rate| *rate > 0.0)?;
        if self.bound == Bound::Waiting {
            return None;
        }
        Duration::try_from_secs_f64(left as f64 / rate).ok()
    }

    fn percent(&self) -> Option<u64> {
        let total = self.total?;
        let settled = u128::from(self.totals.records().min(total));
        let percent = settled * 100 / u128::from(total.max(1));
        Some(if total == 0 { 100 } else { percent as u64 })
    }

    #[cfg(test)]
    pub(crate) fn bound(&self) -> Bound {
        self.bound
    }

    pub(crate) fn json(&self) -> ProgressJson {
        let Totals {
            accepted,
            rejected,
            unknown,
            not_sent,
        } = self.totals;
        ProgressJson {
            r#type: "progress",
            records: self.total,
            accepted,
            rejected,
            unknown,
            not_sent,
            records_per_second: self.rate().map(f64::round),
            limited_by: self.bound,
            seconds_left: self
                .time_left()
                .map(|left| left.as_secs_f64().ceil() as u64),
        }
    }

    /// Returns a line for a log, which has no width.
    pub(crate) fn log_line(&self) -> String {
        let of = self.total.map(|total| format!(" of {total}"));
        let Totals {
            accepted,
            rejected,
            unknown,
            ..
        } = self.totals;
        let mut line = format!(
            "{}{} records: {accepted} accepted, {rejected} rejected, {unknown} unknown",
            self.totals.records(),
            of.unwrap_or_default()
        );
        if let Some(rate) = self.rate() {
            push(&mut line, format_args!("; {}", display::rate(rate)));
        }
        push(&mut line, format_args!("; limited by: {}", self.bound));
        if let Some(left) = self.time_left() {
            let left = display::whole(left, 2);
            push(&mut line, format_args!("; {left} left"));
        }
        line
    }

    /// Returns a line of at most `width` characters: the most telling one that fits.
    pub(crate) fn bar_line(&self, width: usize) -> String {
        let details = [self.wide(), self.medium(), self.short()];
        for (text, needs_bar) in details.into_iter().zip([true, true, false]) {
            let room = width.saturating_sub(text.len());
            if let Some(bar) = self.bar(room) {
                return bar + &text;
            }
            if !needs_bar && text.len() <= width {
                return text;
            }
        }
        let narrow = [self.narrow(true), self.narrow(false)];
        let fits = narrow.into_iter().find(|text| text.len() <= width);
        fits.unwrap_or_else(|| self.count(false).chars().take(width).collect())
    }

    /// Returns a bar of `width` characters, with its brackets and a space. Returns nothing if it
    /// would be too short, and for a stream.
    fn bar(&self, width: usize) -> Option<String> {
        let cells = width.checked_sub("[] ".len())?;
        if cells < MIN_CELLS {
            return None;
        }
        let done = cells * usize::try_from(self.percent()?).unwrap_or(100) / 100;
        let head = if done < cells { ">" } else { "" };
        let rest = cells - done - head.len();
        Some(format!("[{}{head}{}] ", "=".repeat(done), " ".repeat(rest)))
    }

    fn wide(&self) -> String {
        let done = grouped(self.totals.records());
        self.with_details(&match self.total {
            Some(total) => format!("{done} of {}", grouped(total)),
            None => format!("{done} records"),
        })
    }

    fn medium(&self) -> String {
        match (self.percent(), self.total) {
            (Some(percent), Some(total)) => {
                self.with_details(&format!("{percent}% of {}", grouped(total)))
            }
            _ => self.wide(),
        }
    }

    fn short(&self) -> String {
        self.with_details(&self.count(true))
    }

    /// Returns the percentage, or for a stream the number of records.
    fn count(&self, is_grouped: bool) -> String {
        let settled = self.totals.records();
        match self.percent() {
            Some(percent) => format!("{percent}%"),
            None if is_grouped => format!("{} records", grouped(settled)),
            None => format!("{},", rounded(settled, ROUNDED_FROM)),
        }
    }

    fn with_details(&self, count: &str) -> String {
        let Totals {
            rejected, unknown, ..
        } = self.totals;
        let mut line = format!("{count}, {} rejected", grouped(rejected));
        if unknown > 0 {
            push(&mut line, format_args!(", {} unknown", grouped(unknown)));
        }
        match (self.bound, self.rate()) {
            (Bound::Waiting, _) => line += ", waiting for the server",
            (bound, Some(rate)) => {
                let rate = display::rate(rate);
                push(&mut line, format_args!(", {rate} ({bound})"));
            }
            (_, None) => {}
        }
        if let Some(left) = self.time_left() {
            let left = display::whole(left, 2);
            push(&mut line, format_args!(", {left} left"));
        }
        line
    }

    /// Returns a line for 40 columns, which has no room for the rate.
    fn narrow(&self, has_bound: bool) -> String {
        let rejected = rounded(self.totals.rejected, ROUNDED_FROM);
        let mut line = format!("{} {rejected} rejected", self.count(false));
        if has_bound {
            push(&mut line, format_args!(", {}", self.bound));
        }
        if let Some(left) = self.time_left() {
            push(&mut line, format_args!(", {}", display::whole(left, 1)));
        }
        line
    }
}

fn push(line: &mut String, text: fmt::Arguments<'_>) {
    line.write_fmt(text).expect("writing to a string succeeds");
}
