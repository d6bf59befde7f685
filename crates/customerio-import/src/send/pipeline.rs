//! The loop of a run.

use std::time::Duration;

use anyhow::{Result, anyhow};
use customerio::packer::{Dispatcher, Packer, Settled};
use customerio::{Cause, Outcome};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep_until};

use super::api::{Api, CurrentWait};
use super::first_rejections::FirstRejections;
use super::server::Server;
use super::stop::{RunResult, Stop, Wait, permanent_failure, status};
use super::tasks::{Chunk, Done, Tag, Tasks};
use crate::console::Console;
use crate::input::Original;
use crate::interrupt::{Interrupt, Shutdown};
use crate::options::SendOptions;
use crate::problems::{Problem, Problems};
use crate::progress::Bound;
use crate::reader::Item;
use crate::report::Totals;
use crate::settlements::Settlements;
use crate::{clock, display};

/// How many requests in a row may get no answer about any record before the run stops.
///
/// So many mean that the base URL or the server is wrong, and not the records. A smaller number
/// would stop a run for a short failure of a proxy; a larger one sends more requests in vain.
pub(crate) const MAX_WITHOUT_ANSWER: u32 = 100;

/// The interval between checks whether the run waits, for how long, and how far it is. Longer makes
/// the console late, which must show a wait within a second; shorter only takes time.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The most bytes of original records that are kept for the rejects file until their records are
/// settled.
///
/// With less, wide records would be sent in smaller requests; with more, they would fill the
/// memory: by default, 18,000 records are queued and in flight at most.
const MAX_ORIGINALS: usize = 32 << 20;

/// How long after a stop the requests in flight are awaited.
///
/// An attempt times out after 10 s, so only a request that waits for another attempt takes longer.
/// A shorter time would leave records unknown that the API was about to accept.
const DRAIN: Duration = Duration::from_secs(15);

/// Sends the records of `items`, until they end or something stops the run. `earlier` counts the
/// records that earlier runs have settled.
pub(crate) async fn run<A: Api>(
    api: A,
    items: Receiver<Result<Item>>,
    earlier: Totals,
    options: &SendOptions,
    mut interrupt: Interrupt,
    reports: Reports<'_>,
) -> RunResult {
    let mut pipeline = Pipeline::new(api, earlier, *options, reports);
    let mut abort = interrupt.clone();
    tokio::select! {
        biased;
        () = abort.requested(Shutdown::Abort) => pipeline.stop(Stop::Interrupted),
        () = pipeline.drive(items, &mut interrupt) => {}
    }
    pipeline.finish().await
}

/// Where a run reports the outcomes of its records.
#[derive(Debug)]
pub(crate) struct Reports<'a> {
    pub(crate) console: &'a mut Console,
    pub(crate) problems: &'a mut Problems,
    pub(crate) settlements: &'a mut Settlements,
}

/// The state of a run.
struct Pipeline<'a, A> {
    api: A,
    dispatcher: Dispatcher<Tag>,
    tasks: Tasks,
    server: Server,
    options: SendOptions,
    first_rejections: FirstRejections,
    /// The number of requests in a row without an answer about any record.
    without_answer: u32,
    /// The wait that the server asked for, as it was shown.
    requested_wait: Option<Wait>,
    next_check: Instant,
    /// The bytes of the originals of queued records and of those in flight.
    originals: usize,
    result: RunResult,
    console: &'a mut Console,
    problems: &'a mut Problems,
    settlements: &'a mut Settlements,
}

impl<'a, A: Api> Pipeline<'a, A> {
    fn new(api: A, earlier: Totals, options: SendOptions, reports: Reports<'a>) -> Self {
        let now = clock::now();
        let Reports {
            console,
            problems,
            settlements,
        } = reports;
        // An earlier run has shown that the API accepts records.
        let is_checked = !options.keep_going && earlier.accepted == 0;
        Self {
            api,
            dispatcher: Dispatcher::new(Packer::new(options.batch_items)),
            tasks: Tasks::default(),
            server: Server::new(options.max_wait, now),
            options,
            first_rejections: FirstRejections::new(is_checked),
            without_answer: 0,
            requested_wait: None,
            next_check: now,
            originals: 0,
            result: RunResult {
                totals: earlier,
                read: earlier.records(),
                stop: None,
            },
            console,
            problems,
            settlements,
        }
    }

    // --- The loop: read, pack, send, settle. ---

    /// Runs to the end of the input, or until a stop; then waits for the requests in flight.
    async fn drive(&mut self, mut items: Receiver<Result<Item>>, interrupt: &mut Interrupt) {
        let mut is_open = true;
        while self.result.stop.is_none() {
            self.dispatch(is_open);
            self.settlements.start_if_due(clock::now());
            let is_sending = !self.tasks.is_empty();
            let is_writing = self.settlements.is_writing();
            let has_room = !self.is_full() && !self.settlements.is_full();
            let is_reading = is_open && has_room;
            if !is_open && !is_sending && self.dispatcher.is_empty() {
                return;
            }
            // Biased: a signal and a due check come before more work, and outcomes before reading.
            tokio::select! {
                biased;
                () = interrupt.requested(Shutdown::Drain) => self.stop(Stop::Interrupted),
                () = sleep_until(self.wake_at()) => self.wake(),
                written = self.settlements.written(), if is_writing => self.check_written(written),
                Some(done) = self.tasks.next_done(), if is_sending => self.handle_done(done),
                item = items.recv(), if is_reading => match item {
                    Some(item) => self.handle_item(item),
                    None => is_open = false,
                },
            }
        }
        // Dropped before the drain, so that the reader stops now.
        drop(items);
        self.tasks.cancel_queued();
        self.announce_drain();
        self.drain().await;
    }

    /// Does what is due: a check whether the run waits, or nothing if the loop has to write or to
    /// probe.
    fn wake(&mut self) {
        if self.next_check <= clock::now() || self.dispatcher.outage().is_some() {
            self.check_wait();
        }
    }

    /// Stops the run if the outcomes of records cannot be written: sending more would repeat them.
    fn check_written(&mut self, written: Result<()>) {
        if let Err(error) = written {
            self.stop(Stop::Failed(error));
        }
    }

    /// Spawns requests up to the concurrency. While the input is open, chunks are taken only from a
    /// full packer, so that they are full.
    fn dispatch(&mut self, is_open: bool) {
        loop {
            let may_pack = !is_open || self.is_full();
            let now = clock::now().into_std();
            let Some(chunk) = self.dispatcher.next(now, self.concurrency(), may_pack) else {
                return;
            };
            self.tasks.spawn(self.api.clone(), chunk);
        }
    }

    /// Returns whether nothing more can be queued.
    fn is_full(&self) -> bool {
        self.dispatcher.packer().is_full() || self.originals >= MAX_ORIGINALS
    }

    /// Returns how many requests may be sent at once: one while the API may reject every record. In
    /// an outage the dispatcher sends one at a time anyway.
    fn concurrency(&self) -> usize {
        if self.first_rejections.is_checking() && self.dispatcher.outage().is_none() {
            1
        } else {
            self.options.concurrency
        }
    }

    fn handle_item(&mut self, item: Result<Item>) {
        match item {
            Ok(item) => {
                self.result.read += 1;
                self.pack(item);
            }
            Err(error) => self.stop(Stop::Failed(error)),
        }
    }

    fn pack(&mut self, item: Item) {
        let Item {
            number,
            original,
            record,
            room,
        } = item;
        // Lets the reader read on.
        drop(room);
        let record = match record {
            Ok(record) => record,
            Err(reject) => {
                self.result.totals.rejected += 1;
                let problem = reject.into();
                self.settlements.reject(number, &problem, original.as_ref());
                self.print(&problem);
                self.check_gaps();
                return;
            }
        };
        self.originals += original.as_ref().map_or(0, Original::size);
        let tag = Tag {
            number,
            line: record.line,
            original,
        };
        if let Err(not_queued) = self.dispatcher.push(record.operation, tag) {
            assert!(
                not_queued.is_stopped(),
                "nothing is read while the packer is full"
            );
            let (_, tag) = not_queued.into_parts();
            self.count(&tag, &Outcome::NotSent(Cause::follows_unknown()));
        }
    }

    fn handle_done(&mut self, done: Result<Done, JoinError>) {
        match done {
            Ok((chunk, outcomes)) => self.settle(chunk, outcomes),
            Err(error) => self.stop(Stop::Failed(error.into())),
        }
    }

    /// Settles the records of a request, and holds those that are to be sent again.
    fn settle(&mut self, chunk: Chunk, outcomes: Vec<Outcome>) {
        self.console.verbose(2, || {
            let records = display::records(outcomes.len() as u64);
            format!("request done: {records}")
        });
        let had_outage = self.dispatcher.outage().is_some();
        let is_answered = outcomes.iter().any(Outcome::is_answer);
        let now = clock::now().into_std();
        let Settled { outcomes, given_up } = self.dispatcher.settle(chunk, outcomes, now);
        if is_answered {
            self.server.record_answer();
        }
        self.server.follow(&self.dispatcher, clock::unix_seconds());
        self.check_outcomes(&outcomes);
        self.count_all(outcomes);
        self.count_all(given_up);
        let has_outage = self.dispatcher.outage().is_some();
        if had_outage && !has_outage || has_outage && self.result.stop.is_none() {
            self.check_wait();
        }
    }

    // --- Waits for the server. ---

    /// Returns when the loop must wake: at the next check, or at the next probe if there is
    /// something to send.
    fn wake_at(&self) -> Instant {
        // With nothing to send, a probe that is overdue would wake the loop again and again and
        // keep it from reading.
        let can_probe = self.tasks.is_empty() && self.dispatcher.held() > 0;
        let probe = self.dispatcher.next_probe().filter(|_| can_probe);
        let probe = probe.map(Instant::from);
        let others = probe.into_iter().chain(self.settlements.next_start());
        others.fold(self.next_check, Instant::min)
    }

    /// Counts the time that the run waits for the server, shows the wait and the progress, and
    /// stops the run after `--max-wait`.
    fn check_wait(&mut self) {
        let now = clock::now();
        self.next_check = now + CHECK_INTERVAL;
        let current = self.api.current_wait();
        self.requested_wait = current.as_ref().and_then(|wait| self.requested(wait));
        if current.as_ref().is_some_and(|wait| wait.field.is_none()) {
            self.server.record_throttling(clock::unix_seconds());
        }
        let wait = self.requested_wait.clone().or_else(|| self.unrequested());
        let max_wait = self.options.max_wait;
        let message = wait.as_ref().map(|wait| {
            let max_wait = display::duration(max_wait);
            format!("{wait}; for at most {max_wait} in total (--max-wait)")
        });
        self.console.show_wait(message.as_deref(), now);
        self.console
            .show_progress(self.result.totals, self.bound(), now);
        let remaining = current.as_ref().map(|wait| wait.remaining);
        if self.server.pass_time(now, remaining) {
            let since = clock::unix_seconds();
            let wait = wait.unwrap_or(Wait::Throttled { since });
            self.stop(Stop::WaitedTooLong(max_wait, wait));
        }
    }

    /// Returns the wait that the server asked for in a header field.
    fn requested(&self, wait: &CurrentWait) -> Option<Wait> {
        let field = wait.field.clone()?;
        let seconds = i64::try_from(wait.remaining.as_secs()).unwrap_or(i64::MAX);
        let until = clock::unix_seconds().saturating_add(seconds);
        match &self.requested_wait {
            // The end is rounded at each check. A new message for a second's difference would be
            // printed as a new wait.
            Some(Wait::Requested { until: shown, .. }) if shown.abs_diff(until) <= 2 => {
                self.requested_wait.clone()
            }
            _ => Some(Wait::Requested { until, field }),
        }
    }

    /// Returns the wait for a server that named no time.
    fn unrequested(&self) -> Option<Wait> {
        let outage = self.server.outage().map(|outage| Wait::Outage {
            since: outage.since,
            cause: outage.cause.clone(),
        });
        let throttled = || self.server.throttled_since();
        outage.or_else(|| throttled().map(|since| Wait::Throttled { since }))
    }

    /// Returns the reason why the run is not faster at this moment.
    fn bound(&self) -> Bound {
        match self.tasks.queued() {
            Some(queued) => self.options.slower_limit(queued.requests, queued.records),
            None if self.tasks.departed() >= self.concurrency() => Bound::Answers,
            // With no request in flight, the next ones are about to be packed.
            None if self.dispatcher.packer().is_full() && !self.tasks.is_empty() => Bound::Order,
            None => Bound::Reading,
        }
    }

    // --- Stops. ---

    /// Stops the run. The first reason is kept.
    fn stop(&mut self, stop: Stop) {
        self.result.stop.get_or_insert(stop);
    }

    /// Stops the run if the outcomes show that no other record would be accepted.
    fn check_outcomes(&mut self, records: &[(Tag, Outcome)]) {
        let outcomes = || records.iter().map(|(_, outcome)| outcome);
        if let Some(stop) = outcomes().find_map(permanent_failure) {
            self.stop(stop);
        }
        if !records.is_empty() {
            self.check_answer(records);
        }
        if let Some(last) = outcomes().find(|outcome| self.first_rejections.observe(outcome)) {
            self.stop(Stop::SameRejection(status(last)));
        }
    }

    /// Stops the run after [`MAX_WITHOUT_ANSWER`] requests without an answer about any record.
    fn check_answer(&mut self, records: &[(Tag, Outcome)]) {
        let outcomes = || records.iter().map(|(_, outcome)| outcome);
        self.without_answer = if outcomes().any(Outcome::is_about_operation) {
            0
        } else {
            self.without_answer + 1
        };
        if self.without_answer == MAX_WITHOUT_ANSWER {
            let last = outcomes().next_back().and_then(status);
            self.stop(Stop::WithoutAnswer(last));
        }
    }

    fn announce_drain(&self) {
        match self.tasks.departed() {
            0 => {}
            requests => self.console.print(&format!(
                "finishing {} in flight; to stop at once, press Ctrl-C again or send another signal",
                display::requests(requests as u64)
            )),
        }
    }

    /// Waits for the requests in flight. After [`DRAIN`], a request that the server makes wait for
    /// its next attempt is awaited no longer.
    async fn drain(&mut self) {
        let until = clock::now() + DRAIN;
        while !self.tasks.is_empty() && (clock::now() < until || self.api.current_wait().is_none())
        {
            self.settlements.start_if_due(clock::now());
            let is_writing = self.settlements.is_writing();
            tokio::select! {
                Some(done) = self.tasks.next_done() => self.handle_done(done),
                written = self.settlements.written(), if is_writing => self.check_written(written),
                () = sleep_until(clock::now() + CHECK_INTERVAL) => {}
            }
            self.console
                .show_progress(self.result.totals, Bound::Answers, clock::now());
        }
    }

    /// Settles the held chunks, and aborts the requests that are still in flight: their records may
    /// have arrived.
    async fn finish(mut self) -> RunResult {
        let settled = self.dispatcher.give_up_held();
        self.count_all(settled);
        self.result.totals.unknown += self.tasks.abort().await;
        self.result
    }

    // --- Counts and problems. ---

    fn count_all(&mut self, settled: Vec<(Tag, Outcome)>) {
        for (tag, outcome) in settled {
            self.count(&tag, &outcome);
        }
        self.check_gaps();
    }

    fn count(&mut self, tag: &Tag, outcome: &Outcome) {
        let original = tag.original.as_ref();
        self.originals -= original.map_or(0, Original::size);
        let totals = &mut self.result.totals;
        match outcome {
            Outcome::Accepted => totals.accepted += 1,
            Outcome::Rejected(_) => totals.rejected += 1,
            Outcome::Unknown(_) => totals.unknown += 1,
            Outcome::NotSent(_) => totals.not_sent += 1,
        }
        let Some(problem) = Problem::of(tag.line, outcome) else {
            return self.settlements.accept(tag.number);
        };
        match outcome {
            Outcome::Rejected(_) => self.settlements.reject(tag.number, &problem, original),
            // The message about the stop covers the records that were not sent because of it.
            Outcome::NotSent(_) if self.result.stop.is_some() => return,
            _ => self.settlements.leave(&problem, original),
        }
        self.print(&problem);
    }

    fn print(&mut self, problem: &Problem) {
        if let Some(line) = self.problems.add(problem) {
            self.console.print(&line);
        }
    }

    /// Stops the run before the ranges of settled records fill the memory.
    fn check_gaps(&mut self) {
        if self.settlements.has_too_many_gaps() {
            self.stop(Stop::Failed(anyhow!(
                "too many records are unknown, or were not sent because they follow an unknown one \
                 of the same person; correct the records that the API does not answer, or run the \
                 same command again"
            )));
        }
    }
}

#[cfg(test)]
mod tests;
