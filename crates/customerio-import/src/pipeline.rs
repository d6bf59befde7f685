//! Brings records from a reader to the API: packs them, keeps requests in flight, and settles each
//! record once.
//!
//! ```text
//! reader ─► channel (bounded) ─► packer (bounded) ─► in flight (bounded) ─► totals, problems
//! ```
//!
//! Each arrow waits when the next place is full, so memory does not grow with the input.
//!
//! What fails for reasons that may pass is held and sent again: at once while others succeed; one
//! request at a time, with growing pauses, while none does. A request that fails again and again
//! while others succeed is split, until the record that breaks the server stands alone.

mod alike;
mod api;
mod flights;
mod halt;
mod hold;
mod part;
mod server;

use std::collections::VecDeque;
use std::time::Duration;

use customerio::packer::{NotQueued, Packer};
use customerio::{Cause, Outcome};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep_until};

pub(crate) use self::alike::MAX_ALIKE;
pub(crate) use self::halt::{End, Halt, MAX_FRUITLESS, Wait, chain};

use self::alike::Alike;
use self::api::Api;
use self::flights::{Flights, Line};
use self::halt::{status, turned_away};
use self::part::{Part, Settled};
use self::server::{Server, is_about_a_record, is_answered};
use crate::console::Console;
use crate::interrupt::{Interrupt, Urgency};
use crate::mapping::Record;
use crate::pace::Pace;
use crate::problems::{Problem, Problems, rejects_failed};
use crate::reader::Item;
use crate::report::Totals;
use crate::{clock, counted};

/// Sends the records that `items` yields, until its end or until something halts the run; waits for
/// the server for as long as `patience` lasts.
pub(crate) async fn run<A: Api>(
    api: A,
    items: Receiver<Item>,
    pace: &Pace,
    patience: Duration,
    mut interrupt: Interrupt,
    console: &mut Console,
    problems: &mut Problems,
) -> End {
    let now = clock::now();
    let mut pipeline = Pipeline {
        api,
        packer: Packer::new(pace.batch_items),
        flights: Flights::default(),
        held: VecDeque::new(),
        server: Server::new(patience, now),
        concurrency: pace.concurrency,
        alike: Alike::new(!pace.keeps_going),
        fruitless: 0,
        wait: None,
        look: now,
        end: End {
            totals: Totals::default(),
            read: 0,
            halt: None,
        },
        console,
        problems,
    };
    let mut abort = interrupt.clone();
    tokio::select! {
        biased;
        () = abort.reaches(Urgency::Abort) => pipeline.halt(Halt::Interrupted),
        () = pipeline.flow(items, &mut interrupt) => {}
    }
    pipeline.finish().await
}

struct Pipeline<'a, A> {
    api: A,
    packer: Packer<Line>,
    flights: Flights,
    /// What failed and is to be sent again, the next one first.
    held: VecDeque<Part>,
    server: Server,
    concurrency: usize,
    alike: Alike,
    /// Requests in a row that brought no word about a record.
    fruitless: u32,
    /// The wait that the server asked for.
    wait: Option<Wait>,
    /// When to look next whether the run waits.
    look: Instant,
    end: End,
    console: &'a mut Console,
    problems: &'a mut Problems,
}

impl<A: Api> Pipeline<'_, A> {
    /// Runs to the end of the input, or drains what is in flight after a halt.
    async fn flow(&mut self, mut items: Receiver<Item>, interrupt: &mut Interrupt) {
        let mut is_open = true;
        while self.end.halt.is_none() {
            self.dispatch(is_open);
            let (busy, reading) = (!self.flights.is_empty(), is_open && !self.packer.is_full());
            if !is_open && !busy && self.held.is_empty() && self.packer.is_empty() {
                return;
            }
            tokio::select! {
                biased;
                () = interrupt.reaches(Urgency::Drain) => self.halt(Halt::Interrupted),
                () = sleep_until(self.next_look()) => self.look(),
                Some(landed) = self.flights.land(), if busy => self.land(landed),
                item = items.recv(), if reading => match item {
                    Some(item) => self.take(item),
                    None => is_open = false,
                },
            }
        }
        // Dropped before draining, so that the reader stops now.
        drop(items);
        self.flights.turn_back();
        self.announce_drain();
        self.drain().await;
    }

    fn announce_drain(&self) {
        match self.flights.departed() {
            0 => {}
            busy => self.console.say(&format!(
                "finishing {} in flight; a second signal, or Ctrl-C, stops at once",
                counted::requests(busy as u64)
            )),
        }
    }

    /// Fills the places in flight. While the input lasts, only a full packer gives: its batches are
    /// full then.
    fn dispatch(&mut self, is_open: bool) {
        if self.server.outage().is_some() {
            return self.probe(is_open);
        }
        while self.flights.len() < self.places() {
            let part = self.held.pop_front().or_else(|| self.fresh(is_open));
            let Some(part) = part else { return };
            self.flights.launch(self.api.clone(), part);
        }
    }

    /// Returns how many requests may be in flight: one alone, as long as the API may reject them
    /// all.
    fn places(&self) -> usize {
        if self.alike.is_open() {
            1
        } else {
            self.concurrency
        }
    }

    fn take(&mut self, item: Item) {
        match item {
            Err(error) => self.halt(Halt::Failed(error)),
            Ok(Err(reject)) => {
                self.end.read += 1;
                self.end.totals.rejected += 1;
                self.report(&reject.into());
                self.console.advance(&self.end.totals);
            }
            Ok(Ok(record)) => self.queue(record),
        }
    }

    fn queue(&mut self, record: Record) {
        self.end.read += 1;
        if let Err(refused) = self.packer.push(record.operation, record.line) {
            self.count(record.line, &not_queued(&refused));
        }
    }

    fn land(&mut self, landed: Result<(Part, Vec<Outcome>), JoinError>) {
        match landed {
            Ok((part, outcomes)) => self.settle(part, outcomes),
            Err(error) => self.halt(Halt::Failed(error.into())),
        }
    }

    fn settle(&mut self, part: Part, outcomes: Vec<Outcome>) {
        self.console.detail(2, || {
            let records = counted::records(outcomes.len() as u64);
            format!("a request of {records} is settled")
        });
        let was_down = self.server.outage().is_some();
        if outcomes.iter().any(is_about_a_record) {
            self.server.succeed();
        } else if outcomes.iter().any(is_answered) {
            self.server.answer();
        }
        if was_down && self.server.outage().is_none() {
            self.look();
        }
        let Settled { records, left } = part.settle(&mut self.packer, outcomes);
        self.observe(&records);
        self.count_all(records);
        if let Some(left) = left {
            self.hold(left);
        }
    }

    /// Ends the run where what was settled says that the rest would fare no better.
    fn observe(&mut self, records: &[(Line, Outcome)]) {
        let outcomes = || records.iter().map(|(_, outcome)| outcome);
        if let Some(halt) = outcomes().find_map(turned_away) {
            self.halt(halt);
        }
        if !records.is_empty() {
            self.watch_for_words(records);
        }
        if let Some(last) = outcomes().find(|outcome| self.alike.see(outcome)) {
            self.halt(Halt::Alike(status(last)));
        }
    }

    fn count_all(&mut self, settled: Vec<(Line, Outcome)>) {
        for (line, outcome) in settled {
            self.count(line, &outcome);
        }
        self.console.advance(&self.end.totals);
    }

    /// Ends the run where one request after the other is answered by something that is not the API,
    /// or not at all.
    fn watch_for_words(&mut self, records: &[(Line, Outcome)]) {
        let outcomes = || records.iter().map(|(_, outcome)| outcome);
        self.fruitless = if outcomes().any(is_about_a_record) {
            0
        } else {
            self.fruitless + 1
        };
        if self.fruitless == MAX_FRUITLESS {
            self.halt(Halt::Fruitless(outcomes().next_back().and_then(status)));
        }
    }

    fn count(&mut self, line: Line, outcome: &Outcome) {
        let totals = &mut self.end.totals;
        match outcome {
            Outcome::Accepted => totals.accepted += 1,
            Outcome::Rejected(_) => totals.rejected += 1,
            Outcome::Unknown(_) => totals.unknown += 1,
            Outcome::NotSent(_) => totals.not_sent += 1,
        }
        // What was not sent because the run came to a halt is told once, by the halt.
        let is_told = self.end.halt.is_some() && matches!(outcome, Outcome::NotSent(_));
        if let Some(problem) = Problem::of(line, outcome).filter(|_| !is_told) {
            self.report(&problem);
        }
    }

    fn report(&mut self, problem: &Problem) {
        match self.problems.add(problem) {
            Ok(Some(line)) => self.console.say(&line),
            Ok(None) => {}
            Err(error) => self.halt(Halt::Failed(rejects_failed(error))),
        }
    }

    /// Ends the run; what ended it first is what is told.
    fn halt(&mut self, halt: Halt) {
        self.end.halt.get_or_insert(halt);
    }

    /// Lets go of what is held and of what is still in flight, if anything: what has left may have
    /// arrived.
    async fn finish(mut self) -> End {
        while let Some(part) = self.held.pop_front() {
            let settled = part.give_up(&mut self.packer);
            self.count_all(settled);
        }
        self.end.totals.unknown += self.flights.abandon().await;
        self.end
    }
}

fn not_queued(refused: &NotQueued<Line>) -> Outcome {
    assert!(
        refused.is_stopped(),
        "nothing is read while the packer is full"
    );
    Outcome::NotSent(Cause::follows_unknown())
}

#[cfg(test)]
mod tests;
