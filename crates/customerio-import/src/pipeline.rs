//! Brings records from a reader to the API: packs them, keeps requests in flight, and settles each record once.
//!
//! ```text
//! reader ─► channel (bounded) ─► packer (bounded) ─► in flight (bounded) ─► totals, problems
//! ```
//!
//! Each arrow waits when the next place is full, so memory does not grow with the input.

use std::future::Future;

use anyhow::Error;
use customerio::packer::{NotQueued, Packer, Parcel, Ticket};
use customerio::{Cause, Client, Outcome, Request};
use tokio::sync::mpsc::Receiver;
use tokio::task::{JoinError, JoinSet};

use crate::console::Console;
use crate::interrupt::{Interrupt, Urgency};
use crate::mapping::Record;
use crate::problems::{Problem, Problems, rejects_failed};
use crate::reader::Item;
use crate::report::Totals;
use crate::settings::Pace;

/// Sends one request and tells the outcome of each of its operations, in order.
pub(crate) trait Api: Clone + Send + 'static {
    fn send(&self, request: Request) -> impl Future<Output = Vec<Outcome>> + Send;
}

/// Why a run ended before its input did.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The API refused the credentials.
    Credentials,
    /// The input, the rejects file or this program failed.
    Failed(Error),
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
        in_flight: JoinSet::new(),
        concurrency: pace.concurrency,
        unsettled: 0,
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
        () = abort.reaches(Urgency::Abort) => {}
        () = pipeline.flow(items, &mut interrupt) => {}
    }
    pipeline.finish()
}

type Line = u64;

struct Pipeline<'a, A> {
    api: A,
    packer: Packer<Line>,
    in_flight: JoinSet<(Ticket<Line>, Vec<Outcome>)>,
    concurrency: usize,
    /// Records in flight.
    unsettled: u64,
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
            let (busy, reading) = (
                !self.in_flight.is_empty(),
                is_open && !self.packer.is_full(),
            );
            if !is_open && !busy {
                return;
            }
            tokio::select! {
                biased;
                () = interrupt.reaches(Urgency::Drain) => self.halt(Halt::Interrupted),
                Some(done) = self.in_flight.join_next(), if busy => self.settle(done),
                item = items.recv(), if reading => match item {
                    Some(item) => self.take(item),
                    None => is_open = false,
                },
            }
        }
        // Dropped before draining, so that the reader stops now.
        drop(items);
        self.announce_drain();
        while let Some(done) = self.in_flight.join_next().await {
            self.settle(done);
        }
    }

    fn announce_drain(&self) {
        match self.in_flight.len() {
            0 => {}
            busy => self.console.say(&format!(
                "finishing {busy} requests in flight; Ctrl-C stops at once"
            )),
        }
    }

    /// Fills the places in flight. While the input lasts, only a full packer gives: its batches are full then.
    fn dispatch(&mut self, is_open: bool) {
        while self.in_flight.len() < self.concurrency && (!is_open || self.packer.is_full()) {
            let Some(Parcel { request, ticket }) = self.packer.next_parcel() else {
                return;
            };
            self.unsettled += ticket.tags().len() as u64;
            let api = self.api.clone();
            self.in_flight
                .spawn(async move { (ticket, api.send(request).await) });
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

    fn settle(&mut self, done: Result<(Ticket<Line>, Vec<Outcome>), JoinError>) {
        let (ticket, outcomes) = match done {
            Ok(done) => done,
            Err(error) => return self.halt(Halt::Failed(error.into())),
        };
        self.unsettled -= outcomes.len() as u64;
        self.console.detail(2, || {
            format!("a request of {} records is settled", outcomes.len())
        });
        if let Some(halt) = turned_away(&outcomes) {
            self.halt(halt);
        }
        for (line, outcome) in self.packer.settle(ticket, outcomes) {
            self.count(line, &outcome);
        }
        self.console.advance(&self.end.totals);
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

    /// Lets go of what is still in flight, if anything: it may have arrived.
    fn finish(mut self) -> End {
        self.end.totals.unknown += self.unsettled;
        self.end
    }
}

impl Api for Client {
    fn send(&self, request: Request) -> impl Future<Output = Vec<Outcome>> + Send {
        Self::send(self, request)
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

#[cfg(test)]
mod tests;
