//! Signals: before the first request one calls the run off; then the first asks to finish what is
//! in flight, the second to stop at once, and the third ends the process, whatever it is waiting
//! for.

use std::convert::Infallible;
use std::time::Duration;
use std::{process, thread};

use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::exit::Exit;

/// Signals that come together are one: `timeout` sends its signal to the process and to the
/// process's group, and a terminal that closes is told by the kernel and by the shell. A person who
/// presses Ctrl-C twice is slower.
const TOGETHER: Duration = Duration::from_millis(100);

/// Where signals come from.
pub(crate) trait Source {
    /// Resolves with the next signal, of whatever kind.
    fn next(&mut self) -> impl Future<Output = ()> + Send;
}

/// How urgently the user wants the run to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    #[default]
    None,
    /// Sends nothing new, and waits for what is in flight.
    Drain,
    /// Waits for nothing.
    Abort,
}

/// Tells how urgently the run should end.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(watch::Receiver<Urgency>);

impl Interrupt {
    pub(crate) fn new(receiver: watch::Receiver<Urgency>) -> Self {
        Self(receiver)
    }

    /// Resolves once the urgency is `least` or more; never where it cannot become so.
    pub(crate) async fn reaches(&mut self, least: Urgency) {
        if self.0.wait_for(|urgency| *urgency >= least).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Does `work` on a thread of its own, where blocking is fine. Returns nothing where a signal
    /// comes first: the thread is left to the end of the process.
    pub(crate) async fn unless_before<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, done) = oneshot::channel();
        // Nobody listens after a signal.
        thread::spawn(move || sender.send(work()).is_ok());
        tokio::select! {
            biased;
            () = self.reaches(Urgency::Drain) => None,
            done = done => Some(done.expect("the work does not panic")),
        }
    }
}

/// Listens for signals for as long as the future is polled, in a task of its own: the run may wait
/// for a terminal or a disk.
pub(crate) async fn listen(
    mut signals: impl Source,
    urgency: watch::Sender<Urgency>,
) -> Infallible {
    for next in [Urgency::Drain, Urgency::Abort] {
        signals.next().await;
        urgency.send_replace(next);
        pass_over(&mut signals).await;
    }
    signals.next().await;
    process::exit(Exit::Stopped as i32)
}

/// Passes over the signals that belong to the last one.
async fn pass_over(signals: &mut impl Source) {
    let all = async {
        loop {
            signals.next().await;
        }
    };
    let over: Result<Infallible, _> = timeout(TOGETHER, all).await;
    debug_assert!(over.is_err(), "signals have no end");
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tokio::time::{Instant, sleep_until};

    use super::*;

    /// Signals at these milliseconds.
    struct Script {
        start: Instant,
        at: VecDeque<u64>,
        next: Option<u64>,
    }

    impl Source for Script {
        async fn next(&mut self) {
            self.next = self.next.or_else(|| self.at.pop_front());
            match self.next {
                Some(at) => sleep_until(self.start + Duration::from_millis(at)).await,
                None => std::future::pending().await,
            }
            self.next = None;
        }
    }

    /// Returns how urgent it is half a second after the start.
    async fn urgency(at: &[u64]) -> Urgency {
        let (sender, watched) = watch::channel(Urgency::None);
        let script = Script {
            start: crate::clock::now(),
            at: VecDeque::from_iter(at.iter().copied()),
            next: None,
        };
        let half = Duration::from_millis(500);
        assert!(timeout(half, listen(script, sender)).await.is_err());
        *watched.borrow()
    }

    #[tokio::test(start_paused = true)]
    async fn signals_that_come_together_are_one() {
        for (at, expected) in [
            (&[] as &[u64], Urgency::None),
            (&[10], Urgency::Drain),
            (&[10, 10], Urgency::Drain),
            (&[10, 40, 90], Urgency::Drain),
            (&[10, 90, 130], Urgency::Abort),
            (&[10, 200], Urgency::Abort),
            (&[10, 200, 220, 290], Urgency::Abort),
        ] {
            assert_eq!(urgency(at).await, expected, "{at:?}");
        }
    }
}
