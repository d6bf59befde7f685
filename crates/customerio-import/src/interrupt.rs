//! How signals stop a run.
//!
//! Before the first request, a signal cancels the run. After it, the first signal finishes the
//! requests in flight, the second stops at once, and the third ends the process.

use std::convert::Infallible;
use std::time::Duration;
use std::{process, thread};

use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::report::Exit;

/// Signals within this time count as one.
///
/// `timeout` signals the process and its process group, and both the kernel and the shell signal a
/// process whose terminal closes. With a shorter time, such a pair would stop the run at once; with
/// a longer one, a second Ctrl-C would be ignored.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);

/// A source of signals.
pub(crate) trait SignalSource {
    /// Resolves at the next signal of any kind.
    fn next(&mut self) -> impl Future<Output = ()> + Send;
}

/// How the run is to stop, in increasing order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shutdown {
    /// No signal was received.
    #[default]
    None,
    /// Send no further request, and wait for those in flight.
    Drain,
    /// Stop at once.
    Abort,
}

/// A receiver of shutdown requests.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(watch::Receiver<Shutdown>);

impl Interrupt {
    pub(crate) fn new(receiver: watch::Receiver<Shutdown>) -> Self {
        Self(receiver)
    }

    /// Resolves once a shutdown of this level or above is requested; never if the sender is
    /// dropped.
    pub(crate) async fn requested(&mut self, least: Shutdown) {
        if self
            .0
            .wait_for(|shutdown| *shutdown >= least)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// Runs a future. Drops it, and returns nothing, if a signal comes first.
    pub(crate) async fn cancel<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.requested(Shutdown::Drain) => None,
            output = future => Some(output),
        }
    }

    /// Runs `work`, which may block, on a thread of its own. Returns nothing if a signal comes
    /// first; the thread then runs on until the process ends.
    pub(crate) async fn run_blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, done) = oneshot::channel();
        // The receiver is gone after a signal.
        thread::spawn(move || sender.send(work()).is_ok());
        tokio::select! {
            biased;
            () = self.requested(Shutdown::Drain) => None,
            done = done => Some(done.expect("the work does not panic")),
        }
    }
}

/// Listens for signals. It runs in a task of its own, because the run may block on a terminal or a
/// disk.
pub(crate) async fn listen(
    mut signals: impl SignalSource,
    shutdown: watch::Sender<Shutdown>,
) -> Infallible {
    for next in [Shutdown::Drain, Shutdown::Abort] {
        signals.next().await;
        shutdown.send_replace(next);
        ignore_duplicates(&mut signals).await;
    }
    signals.next().await;
    process::exit(Exit::Stopped as i32)
}

/// Ignores signals for [`DUPLICATE_WINDOW`].
async fn ignore_duplicates(signals: &mut impl SignalSource) {
    let all = async {
        loop {
            signals.next().await;
        }
    };
    let elapsed: Result<Infallible, _> = timeout(DUPLICATE_WINDOW, all).await;
    debug_assert!(elapsed.is_err(), "signals have no end");
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tokio::time::{Instant, sleep_until};

    use super::*;

    /// Signals at the given times, in milliseconds.
    struct Script {
        start: Instant,
        at: VecDeque<u64>,
        next: Option<u64>,
    }

    impl SignalSource for Script {
        async fn next(&mut self) {
            self.next = self.next.or_else(|| self.at.pop_front());
            match self.next {
                Some(at) => sleep_until(self.start + Duration::from_millis(at)).await,
                None => std::future::pending().await,
            }
            self.next = None;
        }
    }

    /// Returns the shutdown that is requested half a second after the start.
    async fn shutdown(at: &[u64]) -> Shutdown {
        let (sender, watched) = watch::channel(Shutdown::None);
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
    async fn signals_within_100_ms_count_as_one() {
        for (at, expected) in [
            (&[] as &[u64], Shutdown::None),
            (&[10], Shutdown::Drain),
            (&[10, 10], Shutdown::Drain),
            (&[10, 40, 90], Shutdown::Drain),
            (&[10, 90, 130], Shutdown::Abort),
            (&[10, 200], Shutdown::Abort),
            (&[10, 200, 220, 290], Shutdown::Abort),
        ] {
            assert_eq!(shutdown(at).await, expected, "{at:?}");
        }
    }
}
