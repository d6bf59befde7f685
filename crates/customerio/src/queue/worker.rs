use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep_until;

use super::clock;
use super::shared::Shared;
use super::state::{Departure, State, Step};
use crate::Outcome;

/// Longer than any process lives, for a worker without a timer.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// The future that sends the operations of a [`Queue`](super::Queue). Spawn it.
///
/// It ends once the queue is drained, or once every handle is dropped and each operation is
/// settled. If it is dropped, each operation is settled at once: as unknown if its request has
/// departed, and otherwise as not sent, with [`Cause::stopped`](crate::Cause::stopped). With a
/// spool, the cause [`is_kept`](crate::Cause::is_kept): the next queue takes the operation up.
#[must_use = "the queue sends nothing until its worker is spawned"]
pub struct Worker(Pin<Box<dyn Future<Output = ()> + Send>>);

/// The end of a request: its id, and the outcomes, or `None` if it was recalled before it departed,
/// or the queue has ended.
type Done = (u64, Option<Vec<Outcome>>);

impl Worker {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        // The guard is made here, so that it also works for a worker that is never polled.
        let guard = EndGuard(shared);
        Self(Box::pin(async move {
            run(&guard.0).await;
            let shared = Arc::clone(&guard.0);
            drop(guard);
            // Another queue may open the spool once this one has written everything.
            let is_over = |state: &mut State| state.is_over().then_some(());
            shared.wait_until(is_over).await;
        }))
    }
}

impl Future for Worker {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

/// Settles everything when the worker ends, is dropped or panics. It is dropped after the requests,
/// so none can depart any longer.
struct EndGuard(Arc<Shared>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.update(State::end);
    }
}

async fn run(shared: &Shared) {
    let mut requests = FuturesUnordered::new();
    #[cfg(feature = "tracing")]
    let mut trace = super::trace::OutageTrace::default();
    loop {
        let now = clock::now();
        let Step {
            departures,
            wake_at,
            is_monitor_due,
            is_over,
        } = shared.update(|state| state.step(now));
        if is_over {
            return;
        }
        for departure in departures {
            requests.push(send(shared, departure));
        }
        if let (true, Some((_, monitor))) = (is_monitor_due, &shared.settings.monitor) {
            monitor(&shared.stats());
        }
        let done = next_done(&mut requests, shared, wake_at.unwrap_or(now + NEVER)).await;
        if let Some((id, outcomes)) = done {
            let now = clock::now();
            shared.update(|state| state.finish(id, outcomes, now));
            #[cfg(feature = "tracing")]
            trace.follow(shared.update(|state| state.outage()));
        }
    }
}

/// Waits until a request has ended, the worker is notified, or the time has passed.
async fn next_done<F: Future<Output = Done>>(
    requests: &mut FuturesUnordered<F>,
    shared: &Shared,
    wake_at: Instant,
) -> Option<Done> {
    let mut notified = pin!(shared.worker.notified());
    let mut timer = pin!(sleep_until(wake_at.into()));
    poll_fn(|cx| {
        // A request that is always ready must not hide a notification, such as that of an abort.
        if notified.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(Some(done)) = requests.poll_next_unpin(cx) {
            return Poll::Ready(Some(done));
        }
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// Sends a request, unless it is recalled before it departs, or the queue ends.
async fn send(shared: &Shared, departure: Departure) -> Done {
    let Departure {
        id,
        request,
        recorded,
        control,
    } = departure;
    let mut sending = pin!(async {
        if let Some(spool) = shared.spool.as_ref().filter(|_| !recorded.is_empty()) {
            spool.depart(recorded).await;
        }
        let departed = &control.departed;
        shared.client.send_watched(request, departed).await
    });
    let mut recalled = pin!(control.recalled());
    let mut is_recalled = false;
    let outcomes = poll_fn(|cx| {
        is_recalled = is_recalled || recalled.as_mut().poll(cx).is_ready();
        // Before the poll, in which the request might depart.
        if is_recalled && control.is_waiting() {
            return Poll::Ready(None);
        }
        match control.poll(|| sending.as_mut().poll(cx)) {
            // The queue has settled the request.
            None => Poll::Ready(None),
            // The attempt was throttled or did not reach the server: no further one is made.
            Some(Poll::Pending) if is_recalled && control.is_waiting() => Poll::Ready(None),
            Some(polled) => polled.map(Some),
        }
    });
    (id, outcomes.await)
}
