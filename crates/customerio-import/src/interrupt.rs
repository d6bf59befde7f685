//! Signals: before the first request one calls the run off; then the first asks to finish what is in flight, the second to
//! stop at once, and the third ends the process, whatever it is waiting for.

use std::convert::Infallible;
use std::{process, thread};

use tokio::sync::{oneshot, watch};

use crate::exit::Exit;
use crate::signals::Signals;

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

    /// Does `work` on a thread of its own, where blocking is fine. Returns nothing where a signal comes first: the thread
    /// is left to the end of the process.
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

/// Listens for signals for as long as the future is polled, in a task of its own: the run may wait for a terminal or a disk.
pub(crate) async fn listen(mut signals: Signals, urgency: watch::Sender<Urgency>) -> Infallible {
    for next in [Urgency::Drain, Urgency::Abort] {
        signals.next().await;
        urgency.send_replace(next);
        signals.pass_over().await;
    }
    signals.next().await;
    process::exit(Exit::Stopped as i32)
}
