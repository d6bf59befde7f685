use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use pacing::Moment;
use tokio::time::{Instant, Sleep};

/// The longest timer of a waiter, which then polls and sets it again. tokio's timers have a
/// maximum, and one more poll a day costs nothing.
pub(crate) const LONGEST_TIMER: Duration = Duration::from_secs(24 * 60 * 60);

/// Maps tokio's clock to the moments of one shared state.
///
/// The state may outlive a runtime, and several runtimes may use it. Their clocks differ if one is
/// paused. A clock that went back belongs to another runtime: the state's time goes on from its
/// last reading, and the rest of each wait stays. A clock that is ahead moves the state's time
/// forward. Between runtimes whose clocks differ, no waiter waits forever, but the limit holds
/// only within each runtime.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// The reading from which time is counted: the first one, or the first after the clock went
    /// back.
    start: Option<Reading>,
    /// The moment of the latest reading.
    last: Moment,
}

/// One reading of the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) instant: Instant,
    pub(crate) moment: Moment,
}

impl Clock {
    /// Returns the moment of the latest reading.
    #[inline]
    pub(crate) fn last(&self) -> Option<Moment> {
        self.start.map(|_| self.last)
    }

    /// Reads the clock. The state's lock must be held: two readings must stay in order.
    #[inline]
    pub(crate) fn read(&mut self) -> Reading {
        let instant = now();
        let moment = self.moment_of(instant);
        // Without a moment this is the first reading, or the clock is before its start. With an
        // earlier one than the latest it went back since.
        match moment.filter(|&moment| moment >= self.last) {
            Some(moment) => {
                self.last = moment;
                Reading { instant, moment }
            }
            None => self.start(instant),
        }
    }

    #[inline]
    fn moment_of(&self, instant: Instant) -> Option<Moment> {
        let start = self.start.as_ref()?;
        let time = instant.checked_duration_since(start.instant)?;
        Some(start.moment + time)
    }

    /// Counts time from this instant on, which is no later than the latest moment.
    #[cold]
    fn start(&mut self, instant: Instant) -> Reading {
        let moment = self.last;
        let start = Reading { instant, moment };
        self.start = Some(start);
        start
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

/// The longest time that is added to an instant. tokio uses the same bound: more could overflow.
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

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};
    use tokio::time::advance;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn paused() -> Runtime {
        let mut builder = Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    }

    /// The clock of the first runtime goes ahead by `before` the first reading, and by an hour
    /// after it. In the second runtime the clock has gone back.
    fn check(before: Duration) {
        let mut clock = Clock::default();
        assert_eq!(clock.last(), None);
        paused().block_on(async {
            advance(before).await;
            assert_eq!(clock.read().moment, Moment::ORIGIN);
            advance(HOUR).await;
            assert_eq!(clock.read().moment, Moment::ORIGIN + HOUR);
        });
        paused().block_on(async {
            assert_eq!(clock.read().moment, Moment::ORIGIN + HOUR, "{before:?}");
            advance(HOUR).await;
            assert_eq!(clock.read().moment, Moment::ORIGIN + HOUR * 2, "{before:?}");
        });
        assert_eq!(clock.last(), Some(Moment::ORIGIN + HOUR * 2));
    }

    #[test]
    fn time_goes_on_from_the_latest_moment_after_the_clock_went_back() {
        check(Duration::ZERO);
        // To before the first reading, too.
        check(HOUR);
    }
}
