//! Brings records from a reader to the API: packs them, keeps requests in flight, and settles each record once.
//!
//! ```text
//! reader ─► channel (bounded) ─► packer (bounded) ─► in flight (bounded) ─► totals, problems
//! ```
//!
//! Each arrow waits when the next place is full, so memory does not grow with the input.

mod alike;
mod api;
mod flights;

use anyhow::Error;
use customerio::packer::{NotQueued, Packer, Ticket};
use customerio::{Cause, Outcome};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinError;

pub(crate) use self::alike::MAX_ALIKE;

use self::alike::Alike;
use self::api::Api;
use self::flights::{Flights, Line};
use crate::console::Console;
use crate::counted;
use crate::interrupt::{Interrupt, Urgency};
use crate::mapping::Record;
use crate::pace::Pace;
use crate::problems::{Problem, Problems, rejects_failed};
use crate::reader::Item;
use crate::report::Totals;

/// Why a run ended before its input did.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The API rejected the first records, all for the same reason; the status is that of its answers.
    Alike(Option<u16>),
    /// The API refused the credentials.
    Credentials,
    /// The input, the rejects file or this program failed.
    Failed(Error),
    /// Many requests in a row brought no word about a record; the status is that of the last answer, if one came.
    Fruitless(Option<u16>),
    /// The user asked for it.
    Interrupted,
    /// A request was not taken to the end of its attempts, so that more of them would not be either.
    TurnedAway(Cause),
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) totals: Totals,
    /// Records that were read; those that are in no total were not sent.
    pub(crate) read: u64,
    pub(crate) halt: Option<Halt>,
}

/// Sends the records that `items` yields, until its end or until something halts the run.
pub(crate) async fn run<A: Api>(
    api: A,
    items: Receiver<Item>,
    pace: &Pace,
    mut interrupt: Interrupt,
    console: &mut Console,
    problems: &mut Problems,
) -> End {
    let mut pipeline = Pipeline {
        api,
        packer: Packer::new(pace.batch_items),
        flights: Flights::default(),
        concurrency: pace.concurrency,
        alike: Alike::new(!pace.keeps_going),
        fruitless: 0,
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

/// How many requests in a row may bring no word about a record before the run ends: then it is not the records.
pub(crate) const MAX_FRUITLESS: u32 = 100;

struct Pipeline<'a, A> {
    api: A,
    packer: Packer<Line>,
    flights: Flights,
    concurrency: usize,
    alike: Alike,
    /// Requests in a row that brought no word about a record.
    fruitless: u32,
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
            if !is_open && !busy {
                return;
            }
            tokio::select! {
                biased;
                () = interrupt.reaches(Urgency::Drain) => self.halt(Halt::Interrupted),
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
        while let Some(landed) = self.flights.land().await {
            self.land(landed);
        }
    }

    fn announce_drain(&self) {
        match self.flights.departed() {
            0 => {}
            busy => self.console.say(&format!(
                "finishing {} in flight; Ctrl-C stops at once",
                counted::requests(busy as u64)
            )),
        }
    }

    /// Fills the places in flight. While the input lasts, only a full packer gives: its batches are full then.
    fn dispatch(&mut self, is_open: bool) {
        while self.flights.len() < self.places() && (!is_open || self.packer.is_full()) {
            let Some(parcel) = self.packer.next_parcel() else {
                return;
            };
            self.flights.launch(self.api.clone(), parcel);
        }
    }

    /// Returns how many requests may be in flight: one alone, as long as the API may reject them all.
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

    fn land(&mut self, landed: Result<(Ticket<Line>, Vec<Outcome>), JoinError>) {
        match landed {
            Ok((ticket, outcomes)) => self.settle(ticket, outcomes),
            Err(error) => self.halt(Halt::Failed(error.into())),
        }
    }

    fn settle(&mut self, ticket: Ticket<Line>, outcomes: Vec<Outcome>) {
        self.console.detail(2, || {
            let records = counted::records(outcomes.len() as u64);
            format!("a request of {records} is settled")
        });
        if let Some(halt) = turned_away(&outcomes) {
            self.halt(halt);
        }
        self.watch_for_words(&outcomes);
        if let Some(last) = outcomes.iter().find(|outcome| self.alike.see(outcome)) {
            self.halt(Halt::Alike(status(last)));
        }
        for (line, outcome) in self.packer.settle(ticket, outcomes) {
            self.count(line, &outcome);
        }
        self.console.advance(&self.end.totals);
    }

    /// Ends the run where one request after the other is answered by something that is not the API, or not at all.
    fn watch_for_words(&mut self, outcomes: &[Outcome]) {
        self.fruitless = if outcomes.iter().any(is_about_a_record) {
            0
        } else {
            self.fruitless + 1
        };
        if self.fruitless == MAX_FRUITLESS {
            self.halt(Halt::Fruitless(outcomes.last().and_then(status)));
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

    /// Lets go of what is still in flight, if anything: what has left may have arrived.
    async fn finish(mut self) -> End {
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

/// Tells whether the API takes no requests. What is not sent only because it follows an unknown part says nothing of it.
fn turned_away(outcomes: &[Outcome]) -> Option<Halt> {
    let is_settled =
        |outcome: &&Outcome| !matches!(outcome, Outcome::Accepted | Outcome::Rejected(_));
    match outcomes.iter().find(is_settled) {
        Some(Outcome::NotSent(cause)) if cause.is_credentials() => Some(Halt::Credentials),
        Some(Outcome::NotSent(cause)) => Some(Halt::TurnedAway(cause.clone())),
        _ => None,
    }
}

/// Tells whether the API has judged a record, unlike a server that has no such page, or one that fails.
fn is_about_a_record(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Accepted => true,
        Outcome::Rejected(rejection) => rejection.status().is_some_and(|status| {
            status.is_success() || matches!(status.as_u16(), 400 | 413 | 422)
        }),
        Outcome::Unknown(_) | Outcome::NotSent(_) => false,
    }
}

fn status(outcome: &Outcome) -> Option<u16> {
    let status = match outcome {
        Outcome::Accepted => None,
        Outcome::Rejected(rejection) => rejection.status(),
        Outcome::Unknown(cause) | Outcome::NotSent(cause) => cause.status(),
    };
    status.map(|status| status.as_u16())
}

#[cfg(test)]
mod tests;
