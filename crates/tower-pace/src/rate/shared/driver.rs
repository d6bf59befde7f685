use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use pacing::shared::{NextCall, PATIENCE, Reply, SharedStatus};
use tokio::time::{Instant, sleep_until, timeout};

use super::{NamedCall, SharedLimits, SharedStore};
use crate::clock;
use crate::rate::state::RateState;
use crate::wait::{self, Queue};

/// The driver looks at its limits after this time at the latest, so that it ends if they are gone.
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// Calls the store of shared limits; spawn its [`run`](Self::run).
///
/// Without it, or after its drop, the limits are as if the store were away.
#[must_use = "the store is not called unless `run` is polled"]
pub struct SharedDriver<S> {
    pub(super) store: S,
    pub(super) limits: SharedLimits,
}

/// A call that is due, and the limit that makes it.
struct DueCall {
    queue: Arc<Queue<RateState>>,
    call: NamedCall,
}

impl<S: SharedStore> SharedDriver<S> {
    /// Calls the store when a request needs a departure time, and every ten seconds.
    ///
    /// It ends at most ten seconds after the [`SharedLimits`] and the layers, services and handles
    /// of its limits are dropped. If it is dropped, the limits depart by their parts, as if the
    /// store were away.
    pub async fn run(self) {
        while let Some(due) = self.due().await {
            let calls: Vec<NamedCall> = due.iter().map(|due| due.call.clone()).collect();
            let (replies, missing) = match timeout(PATIENCE, self.store.call(&calls)).await {
                Ok(replies) => (replies, "it gave fewer replies than calls"),
                Err(_) => (Vec::new(), "it did not reply within 250 ms"),
            };
            let mut replies = replies.into_iter();
            for due in due {
                due.record(match replies.next() {
                    Some(Ok(reply)) => Ok(reply),
                    Some(Err(error)) => Err(error.to_string()),
                    None => Err(missing.to_owned()),
                });
            }
        }
    }

    /// Waits for calls that are due. Returns none if no limit is in use.
    async fn due(&self) -> Option<Vec<DueCall>> {
        let mut timer = pin!(None);
        poll_fn(|cx| {
            loop {
                // Before the look at the limits, so that a change after it wakes this task. A
                // signal that is set is consumed, and the second poll leaves the waker.
                while self.limits.signal().poll(cx.waker()).is_ready() {}
                let limits = self.limits.in_use();
                if limits.is_empty() && self.limits.is_last() {
                    return Poll::Ready(None);
                }
                let (due, until) = due_calls(limits);
                if !due.is_empty() {
                    return Poll::Ready(Some(due));
                }
                timer.set(Some(sleep_until(until)));
                let elapsed = timer.as_mut().as_pin_mut().map(|timer| timer.poll(cx));
                if elapsed == Some(Poll::Pending) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}

/// Returns the calls that are due, and when to look again if there is none.
fn due_calls(limits: Vec<(Arc<str>, Arc<Queue<RateState>>)>) -> (Vec<DueCall>, Instant) {
    let mut until = clock::after(LONGEST_LOOK);
    let mut due = Vec::new();
    for (name, queue) in limits {
        let next = queue.look_with(|state, waiting, now| {
            Some(match state.next_call(waiting, now.moment)? {
                NextCall::Now(call) => Ok(call),
                NextCall::At(moment) => Err(now.instant_of(moment)),
            })
        });
        match next {
            Some(Ok(call)) => {
                let call = NamedCall::new(name, call);
                due.push(DueCall { queue, call });
            }
            Some(Err(at)) => until = until.min(at),
            None => {}
        }
    }
    (due, until)
}

impl DueCall {
    /// Records the reply, or the reason why there is none.
    fn record(self, reply: Result<Reply, String>) {
        let mut change = None;
        let (reply, mut failure) = match reply {
            Ok(reply) => (Some(reply), None),
            Err(failure) => (None, Some(failure)),
        };
        self.queue.change(|state, now| {
            let Some(shared) = state.shared(now) else {
                return wait::Wake::Nothing;
            };
            match &reply {
                Some(reply) => {
                    let invalid = shared.reply(reply, now).err();
                    failure = invalid.map(|invalid| invalid.to_string());
                }
                None => shared.fail(now),
            }
            let (before, after) = shared.change(now);
            change = Some((before, after));
            // The limiter has another quota after a switch, so each waiter has another time.
            state.shared(now);
            match before.is_away == after.is_away {
                true => wait::Wake::Next,
                false => wait::Wake::All,
            }
        });
        // Without the lock: a subscriber of `tracing` can run any code.
        if let Some((before, after)) = change {
            emit(&self.call.name, before, after, failure.as_deref());
        }
    }
}

impl<S> fmt::Debug for SharedDriver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedDriver").finish_non_exhaustive()
    }
}

/// Emits events of the crate `tracing`, if the feature of that name is on.
#[cfg(feature = "tracing")]
fn emit(name: &str, before: SharedStatus, after: SharedStatus, failure: Option<&str>) {
    if after.is_away && !before.is_away {
        let reason = failure.unwrap_or("its reply was too slow");
        tracing::warn!(
            limit = name,
            reason,
            round_trip = ?after.round_trip,
            processes = after.processes,
            "the store of a shared limit is away: this process departs at its part of the limit; \
             check the store"
        );
        if !after.is_divisible {
            tracing::warn!(
                limit = name,
                processes = after.processes,
                "an equal part of the limit is less than the highest cost of a request: without \
                 the store the server may throttle some"
            );
        }
    }
    if before.is_away && !after.is_away {
        tracing::info!(limit = name, "the store of a shared limit answers again");
    }
    if after.is_slower && !before.is_slower {
        tracing::warn!(
            limit = name,
            "another process states a slower limit under this name, which holds: give all the same"
        );
    }
    if after.start > before.start {
        tracing::info!(
            limit = name,
            wait = ?after.start,
            "the store knew nothing of the limit: the first request departs after one window"
        );
    }
}

#[cfg(not(feature = "tracing"))]
fn emit(_: &str, _: SharedStatus, _: SharedStatus, _: Option<&str>) {}
