use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderValue;

use crate::api::{Operation, Rejection};
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::fault::{FaultInjector, Plan};
use crate::limit::{Decision, Limit, Limiter};
use crate::records::{Arrival, ArrivalLog, Store};

/// The part of a simulator that its clones share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) credentials: Credentials,
    pub(crate) limit: Option<Limit>,
    pub(crate) omits_retry_after: bool,
    /// Locked for one step of a request at a time, and never across an await.
    pub(crate) state: Mutex<State>,
}

/// The mutable state of a simulator.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) injector: FaultInjector,
    pub(crate) limiter: Option<Limiter>,
    pub(crate) store: Store,
    pub(crate) arrivals: ArrivalLog,
}

impl Shared {
    /// Returns the delays and the fault of the next request.
    pub(crate) fn next_plan(&self) -> Plan {
        let mut state = self.state();
        state.injector.next_plan(self.clock.now())
    }

    /// Counts a request, and returns the time and the limiter's decision.
    pub(crate) fn count(&self) -> (Duration, Decision) {
        let mut state = self.state();
        // Read under the lock: the limiter needs times that never decrease.
        let now = self.clock.now();
        state.store.record_arrival(now);
        let decision = state
            .limiter
            .as_mut()
            .map_or(Decision::Admitted, |limiter| limiter.decide(now));
        (now, decision)
    }

    /// Applies an operation that the API accepts, and returns a rejection as it is.
    pub(crate) fn apply(&self, operation: Result<Operation, Rejection>) -> Result<(), Rejection> {
        let now = self.clock.unix_seconds();
        operation.map(|operation| self.state().store.apply(operation, now))
    }

    /// Applies the accepted operations of a batch, and returns the rejections with their indices.
    pub(crate) fn apply_batch(
        &self,
        operations: Vec<Result<Operation, Rejection>>,
    ) -> Vec<(usize, Rejection)> {
        let now = self.clock.unix_seconds();
        let store = &mut self.state().store;
        let mut rejections = Vec::new();
        for (index, operation) in operations.into_iter().enumerate() {
            match operation {
                Ok(operation) => store.apply(operation, now),
                Err(rejection) => rejections.push((index, rejection)),
            }
        }
        store.counts().rejected += rejections.len() as u64;
        rejections
    }

    /// Reads or changes the records.
    pub(crate) fn store<R>(&self, with: impl FnOnce(&mut Store) -> R) -> R {
        with(&mut self.state().store)
    }

    pub(crate) fn record(&self, arrival: impl FnOnce() -> Arrival) {
        self.state().arrivals.record(arrival);
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.state().arrivals.arrivals()
    }

    pub(crate) fn date(&self) -> HeaderValue {
        self.clock.date()
    }

    // Poisoning is ignored: no step can leave the state half changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
