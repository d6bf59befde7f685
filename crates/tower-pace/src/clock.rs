use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use pacing::Moment;
use tokio::time::{Instant, Sleep};

/// No timer of a line is set further ahead than this; whoever waits in it then looks and sets it again.
pub(crate) const LONGEST_TIMER: Duration = Duration::from_secs(24 * 60 * 60);

/// Turns tokio's clock into the moments of one shared state.
///
/// The state may outlive a runtime and be used from several, whose clocks differ where one is
/// paused. A clock that went back is another runtime's: the state's time goes on from where it
/// stood, so that what was left to wait stays left. A clock that is ahead takes the state's time
/// along: between runtimes whose clocks differ nobody waits for ever, but the limit holds only
/// within each.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// The reading from which time is counted: the first one, or the first after the clock went
    /// back.
    start: Option<Reading>,
    /// The moment of the latest reading.
    last: Moment,
}

/// One look at the clock.
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

    /// Reads the clock. The state's lock must be held: two readings must not overtake each other.
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
    /// The instant of `moment` on the clock that was read.
    pub(crate) fn instant_of(&self, moment: Moment) -> Instant {
        self.instant_in(moment.since(self.moment))
    }

    /// The instant after so much time, or in 24 hours if that is sooner: no clock can add every time.
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

/// Stands for a time that no clock can show, as tokio does it.
const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);

/// The instant that lies `time` from now. More than thirty years count as thirty.
pub(crate) fn after(time: Duration) -> Instant {
    now() + time.min(FAR)
}

/// Resolves when the time of a timer has come that guards a future, which is pending.
///
/// The clock is asked first: for a task that has used up its budget tokio's timers are pending, whatever the time, and what
/// is guarded may use it up at each poll. Where nothing is guarded the timer is polled as it is, so that no loop escapes
/// the budget.
pub(crate) fn poll_guard(timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    match timer.deadline() <= now() {
        true => Poll::Ready(()),
        false => timer.poll(cx),
    }
}

/// The date, for an HTTP date without another one to compare it with.
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
