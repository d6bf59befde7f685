use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Remembers, across the attempts at one request, whether any of them may have arrived, and whether one is in flight.
///
/// It travels in the request's extensions. The last attempt's result alone does not tell: a timeout that is followed
/// by a 429 leaves the operation perhaps applied, and a call that is ended by its deadline has no result.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail(Arc<Steps>);

#[derive(Debug, Default)]
struct Steps {
    may_have_arrived: AtomicBool,
    is_in_flight: AtomicBool,
}

/// Tells the caller that an attempt at the request was handed to the transport. It travels as the trail does.
#[derive(Clone, Debug)]
pub(super) struct Departure(pub(super) Arc<AtomicBool>);

impl Departure {
    pub(super) fn mark(&self) {
        self.0.store(true, Relaxed);
    }
}

impl Trail {
    pub(super) fn depart(&self) {
        self.0.is_in_flight.store(true, Relaxed);
    }

    pub(super) fn end(&self) {
        self.0.is_in_flight.store(false, Relaxed);
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.0.is_in_flight.load(Relaxed)
    }

    pub(super) fn mark_may_have_arrived(&self) {
        self.0.may_have_arrived.store(true, Relaxed);
    }

    pub(super) fn may_have_arrived(&self) -> bool {
        self.0.may_have_arrived.load(Relaxed)
    }
}
