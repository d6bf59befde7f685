use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use pacing::Moment;
use tokio::time::{Instant, Sleep};

/// The longest timer of a waiter, which then polls and sets it again. tokio's timers and instants
/// end at some far moment, and no wait of a day depends on one more poll.
pub(crate) const LONGEST_TIMER: Duration = Duration::from_secs(24 * 60 * 60);

/// Maps tokio's clock to the moments of one shared state.
///
/// The state may outlive a runtime, and several runtimes may use it. Their clocks differ if one is
/// paused. A clock that went back belongs to another runtime: the state's time goes on from its
/// last reading, and the rest of each wait stays. A clock that is ahead moves the state's time
/// forward. Between runtimes whose clocks differ, no waiter waits for ever, but the limit holds
/// only within each runtime.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    last: Option<Reading>,
}

/// One reading of the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) instant: Instant,
    pub(crate) moment: Moment,
}

impl Clock {
    /// Returns the moment of the last reading.
    pub(crate) fn last(&self) -> Option<Moment> {
        self.last.map(|last| last.moment)
    }

    /// Reads the clock. The state's lock must be held: two readings must stay in order.
    pub(crate) fn read(&mut self) -> Reading {
        let instant = now();
        let moment = self.last.map_or(Moment::ORIGIN, |last| {
            last.moment + instant.saturating_duration_since(last.instant)
        });
        let reading = Reading { instant, moment };
        self.last = Some(reading);
        reading
    }
}

impl Reading {
    /// Returns the instant of `moment` on the clock that was read.
    pub(crate) fn instant_of(&self, moment: Moment) -> Instant {
        self.instant_in(moment.since(self.moment))
    }

    /// Returns the instant after `time`, or in 24 hours if that is sooner: an instant cannot be
    /// arbitrarily far.
    pub(crate) fn instant_in(&self, time: Duration) -> Instant {
        self.instant + time.min(LONGEST_TIMER)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The longest time that is added to an instant. tokio uses the same held_by: more could overflow.
const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);

/// Returns the instant `time` from now. More than thirty years count as thirty.
pub(crate) fn after(time: Duration) -> Instant {
    now() + time.min(FAR)
}

/// Polls a timer that bounds a pending future.
///
/// It reads the clock first. tokio's timers stay pending for a task that has used up its
/// cooperative budget, and the bounded future may use it up at each poll. A timer that bounds no
/// future is polled as usual, so that no loop escapes the budget.
pub(crate) fn poll_guard(timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    match timer.deadline() <= now() {
        true => Poll::Ready(()),
        false => timer.poll(cx),
    }
}

/// Returns the system's date, for an HTTP date in a response without a `Date`.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
pub(crate) fn date() -> SystemTime {
    SystemTime::now()
}
