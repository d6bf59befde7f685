use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderValue;

use crate::api::{Operation, Refusal};
use crate::books::{Arrival, Ledger, Trace};
use crate::clock::Clock;
use crate::http::{Credentials, Throttle};
use crate::limit::{Limiter, Verdict};
use crate::weather::{Dice, Fate, Script};

/// Everything that the clones of one simulator share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) credentials: Credentials,
    pub(crate) throttle: Throttle,
    pub(crate) state: Mutex<State>,
}

/// What changes. The lock is held for one step and never over an await.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) dice: Dice,
    pub(crate) script: Script,
    pub(crate) limiter: Option<Limiter>,
    pub(crate) ledger: Ledger,
    pub(crate) trace: Trace,
}

impl World {
    /// Settles what will happen to the next request.
    pub(crate) fn fate(&self) -> Fate {
        let mut state = self.state();
        state.dice.turn(self.clock.now());
        let drawn = state.dice.draw();
        state.script.play(drawn)
    }

    /// A request reaches the counter. The clock is read under the lock, so that arrivals are judged in order.
    pub(crate) fn arrive(&self) -> (Duration, Verdict) {
        let mut state = self.state();
        let now = self.clock.now();
        state.ledger.arrive(now);
        let verdict = state
            .limiter
            .as_mut()
            .map_or(Verdict::Admitted, |limiter| limiter.arrive(now));
        (now, verdict)
    }

    /// Applies an operation that the API takes, and passes a refusal on.
    pub(crate) fn take(&self, operation: Result<Operation, Refusal>) -> Result<(), Refusal> {
        operation.map(|operation| self.state().ledger.apply(operation))
    }

    /// Applies what a batch may apply, and returns the refusals with their places.
    pub(crate) fn take_batch(
        &self,
        operations: Vec<Result<Operation, Refusal>>,
    ) -> Vec<(usize, Refusal)> {
        let ledger = &mut self.state().ledger;
        let mut refusals = Vec::new();
        for (index, operation) in operations.into_iter().enumerate() {
            match operation {
                Ok(operation) => ledger.apply(operation),
                Err(refusal) => refusals.push((index, refusal)),
            }
        }
        ledger.tally().rejected += refusals.len() as u64;
        refusals
    }

    /// Reads or changes the books.
    pub(crate) fn books<R>(&self, with: impl FnOnce(&mut Ledger) -> R) -> R {
        with(&mut self.state().ledger)
    }

    pub(crate) fn record(&self, arrival: impl FnOnce() -> Arrival) {
        self.state().trace.record(arrival);
    }

    pub(crate) fn trace(&self) -> Vec<Arrival> {
        self.state().trace.arrivals()
    }

    pub(crate) fn date(&self) -> HeaderValue {
        self.clock.date()
    }

    /// No step leaves the state half changed, so a panic elsewhere does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
