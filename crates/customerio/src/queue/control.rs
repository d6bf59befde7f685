use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// No task polls the request.
const IDLE: u8 = 0;
/// The worker polls the request, which may depart meanwhile.
const POLLED: u8 = 1;
/// The queue has settled the request. It is not polled any longer.
const STOPPED: u8 = 2;

/// Recalls or stops a request that the worker sends.
#[derive(Debug, Default)]
pub(super) struct RequestControl {
    /// Set while the request may have departed. The client writes it while the request is polled.
    pub(super) departed: Arc<AtomicBool>,
    recall: Notify,
    phase: AtomicU8,
}

impl RequestControl {
    /// Returns whether no attempt is in flight that may have arrived.
    pub(super) fn is_waiting(&self) -> bool {
        // Relaxed: the task that polls the request reads its own writes.
        !self.departed.load(Ordering::Relaxed)
    }

    /// Ends the request if it has not departed, once the worker is polled.
    pub(super) fn recall(&self) {
        self.recall.notify_one();
    }

    /// Waits until the request is recalled.
    pub(super) fn recalled(&self) -> Notified<'_> {
        self.recall.notified()
    }

    /// Polls the request, unless it was stopped before or meanwhile.
    pub(super) fn poll<T>(&self, poll: impl FnOnce() -> T) -> Option<T> {
        // A stop in another thread comes before the poll or after it, or it finds `POLLED` and
        // takes the request for departed. So a request that is settled as not sent never departs.
        self.change(IDLE, POLLED)?;
        let polled = poll();
        // After a panic, the phase stays: the request may have departed.
        self.change(POLLED, IDLE)?;
        Some(polled)
    }

    /// Lets the request depart no more. Returns whether it may have departed.
    pub(super) fn stop(&self) -> bool {
        // Acquire pairs with the release at the end of a poll, for `departed`.
        let phase = self.phase.swap(STOPPED, Ordering::AcqRel);
        phase == POLLED || !self.is_waiting()
    }

    /// Changes the phase, unless the request was stopped.
    fn change(&self, from: u8, to: u8) -> Option<()> {
        let changed = self
            .phase
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
        changed.ok().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_stopped_is_not_polled() {
        let request = RequestControl::default();
        assert_eq!(request.poll(|| 1), Some(1));
        assert!(!request.stop(), "it waited");
        assert_eq!(request.poll(|| -> u8 { unreachable!() }), None);
    }

    #[test]
    fn a_request_that_is_stopped_while_it_is_polled_may_have_departed() {
        let request = RequestControl::default();
        let polled = request.poll(|| assert!(request.stop()));
        assert_eq!(polled, None, "its result comes too late");
        assert_eq!(request.poll(|| ()), None);
    }

    #[test]
    fn a_request_may_have_departed_until_its_flag_is_cleared() {
        let request = RequestControl::default();
        let depart = |is_departed| request.departed.store(is_departed, Ordering::Relaxed);
        request.poll(|| depart(true)).unwrap();
        assert!(!request.is_waiting());
        request.poll(|| depart(false)).unwrap();
        assert!(request.is_waiting());
        request.poll(|| depart(true)).unwrap();
        assert!(request.stop());
    }
}
