use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderValue;
use serde_json::Value;
use tokio::sync::Notify;

use crate::api::{BroadcastTrigger, ImportRequest, Operation, OutgoingMessage, Rejection};
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::fault::{FaultInjector, Plan};
use crate::limit::{Decision, Limit, Limiter};
use crate::records::{Arrival, ArrivalLog, Message, Store};
use crate::webhook::Webhook;

/// The part of a simulator that its clones share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) credentials: Credentials,
    pub(crate) limits: Limits,
    pub(crate) omits_retry_after: bool,
    pub(crate) webhooks: Vec<Webhook>,
    /// Wakes the deliveries of webhooks when there may be an event.
    pub(crate) webhook_events: Notify,
    /// Locked for one step of a request at a time, and never across an await.
    pub(crate) state: Mutex<State>,
}

/// The reason why a valid trigger is not accepted.
pub(crate) enum TriggerError {
    /// A person of the audience does not exist.
    Missing(Rejection),
    /// Five triggers wait. The first begins after this time.
    QueueFull(Duration),
}

/// The limit under which a request counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApiLimit {
    /// The App API, except transactional messages and triggers.
    App,
    /// The Track API and transactional messages.
    Ingress,
    /// Triggers of broadcasts.
    Triggers,
}

/// A value for each limit.
#[derive(Clone, Debug)]
pub(crate) struct PerLimit<T> {
    pub(crate) app: T,
    /// `None` throttles nothing.
    pub(crate) ingress: Option<T>,
    pub(crate) triggers: T,
}

pub(crate) type Limits = PerLimit<Limit>;

impl<T> PerLimit<T> {
    pub(crate) fn get(&self, api: ApiLimit) -> Option<&T> {
        match api {
            ApiLimit::App => Some(&self.app),
            ApiLimit::Ingress => self.ingress.as_ref(),
            ApiLimit::Triggers => Some(&self.triggers),
        }
    }

    fn get_mut(&mut self, api: ApiLimit) -> Option<&mut T> {
        match api {
            ApiLimit::App => Some(&mut self.app),
            ApiLimit::Ingress => self.ingress.as_mut(),
            ApiLimit::Triggers => Some(&mut self.triggers),
        }
    }
}

impl Limits {
    /// Returns the state of each limit before the first request.
    pub(crate) fn limiters(&self) -> PerLimit<Limiter> {
        PerLimit {
            app: Limiter::new(&self.app),
            ingress: self.ingress.as_ref().map(Limiter::new),
            triggers: Limiter::new(&self.triggers),
        }
    }
}

/// The mutable state of a simulator.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) injector: FaultInjector,
    pub(crate) limiters: PerLimit<Limiter>,
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
    pub(crate) fn count(&self, api: ApiLimit) -> (Duration, Decision) {
        let mut state = self.state();
        // Read under the lock: the limiter needs times that never decrease.
        let now = self.clock.now();
        state.store.record_arrival(now, api == ApiLimit::Ingress);
        let decision = state
            .limiters
            .get_mut(api)
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

    /// Records a transactional message and returns its record.
    pub(crate) fn send(&self, message: OutgoingMessage) -> Message {
        let now = self.clock.unix_seconds();
        self.state().store.send(message, now)
    }

    /// Begins an import and returns its number.
    pub(crate) fn begin_import(&self, import: ImportRequest) -> u64 {
        let (now, date) = (self.clock.now(), self.clock.unix_seconds());
        self.state().store.begin_import(import, now, date)
    }

    /// Returns an import as the App API shows it.
    pub(crate) fn import(&self, id: u64) -> Option<Value> {
        let now = self.clock.now();
        self.state().store.import(id, now)
    }

    /// Records a trigger and returns its id, or `None` if the broadcast does not exist.
    pub(crate) fn trigger(
        &self,
        broadcast: u64,
        trigger: BroadcastTrigger,
    ) -> Result<Option<u64>, TriggerError> {
        let store = &mut self.state().store;
        if store.missing(&trigger).is_some() {
            // Without the identifier: a message must not repeat a customer's data.
            let message = "a person of the audience does not exist";
            let rejection = Rejection::invalid(trigger.audience, message);
            return Err(TriggerError::Missing(rejection));
        }
        // Read under the lock: the queue needs times that never decrease.
        let (now, date) = (self.clock.now(), self.clock.unix_seconds());
        match store.queue_full_for(now) {
            Some(wait) => Err(TriggerError::QueueFull(wait)),
            None => Ok(store.trigger(broadcast, trigger, now, date)),
        }
    }

    /// Reads or changes the records.
    pub(crate) fn store<R>(&self, with: impl FnOnce(&mut Store) -> R) -> R {
        with(&mut self.state().store)
    }

    /// Records a request that has its response.
    pub(crate) fn record(&self, arrival: impl FnOnce() -> Arrival) {
        self.state().arrivals.record(arrival);
        // Every event of a webhook comes with a request. The lock is released: a waker can run any
        // code.
        self.webhook_events.notify_waiters();
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.state().arrivals.arrivals()
    }

    pub(crate) fn date(&self) -> HeaderValue {
        self.clock.date()
    }

    // Poisoning is ignored: no step can leave the state half changed.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // An import ends at a time, and the first look at the records after it has to see that.
        if state.store.has_pending_imports() {
            let (now, date) = (self.clock.now(), self.clock.unix_seconds());
            state.store.settle_imports(now, date);
        }
        state
    }
}
