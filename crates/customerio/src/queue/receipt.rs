use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;

use super::error::{NotEnqueued, Reason};
use super::shared::Shared;
use crate::{Cause, Operation, Outcome};

/// The receipt of an enqueued operation: a future of its outcome.
///
/// It may be dropped: the operation is sent all the same.
///
/// ```
/// use customerio::queue::Queue;
/// use customerio::{Attributes, Client, Operation, Person};
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
/// # fn main() { simulated(async {
/// let (queue, worker) = Queue::new(&Client::from_env()?);
/// tokio::spawn(worker);
/// let operation = Operation::identify(&Person::id("u1")?, &Attributes::new())?;
/// let receipt = queue.enqueue(operation).await?;
/// assert!(receipt.await.is_accepted());
/// # Ok(()) }) }
/// ```
pub struct Receipt {
    pub(super) outcome: oneshot::Receiver<Outcome>,
    pub(super) shared: Arc<Shared>,
    pub(super) number: u64,
    /// Set until the operation is on disk, in a queue with a spool. In a box: callers keep many
    /// receipts.
    pub(super) unwritten: Option<Box<Unwritten>>,
}

/// An operation that is being written to disk.
pub(super) struct Unwritten {
    written: oneshot::Receiver<Result<(), Reason>>,
    /// Why it was not written, if the answer has come.
    failure: Option<Reason>,
    /// The operation, to be returned with an error.
    operation: Operation,
}

impl Unwritten {
    pub(super) fn new(
        written: oneshot::Receiver<Result<(), Reason>>,
        operation: Operation,
    ) -> Self {
        Self {
            written,
            failure: None,
            operation,
        }
    }

    /// Returns whether the operation is on disk. The sender is not polled again after a failure.
    fn poll_written(&mut self, shared: &Shared, cx: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        if let Some(reason) = &self.failure {
            return Poll::Ready(Err(reason.clone()));
        }
        let written = ready!(Pin::new(&mut self.written).poll(cx));
        // The writer wakes the first caller of a group for the others.
        if let Some(spool) = &shared.spool {
            spool.acknowledge_some();
        }
        // A missing answer is a defect of this crate.
        let written = written.unwrap_or(Err(Reason::Closed));
        self.failure = written.clone().err();
        Poll::Ready(written)
    }
}

impl Receipt {
    /// Cancels the operation if it has not departed. Await the receipt for the outcome: not sent,
    /// with [`Cause::is_canceled`], or that of the request if it has departed.
    ///
    /// If the operation departed and failed, the queue does not send it again, and its outcome may
    /// be unknown. The client still makes the attempts that its own retries allow. The other
    /// operations of the request are sent.
    pub fn cancel(&self) {
        self.shared.cancel(self.number);
    }

    /// Waits until the operation is on disk. Without a spool, it returns at once.
    ///
    /// [`Queue::enqueue`](super::Queue::enqueue) has waited already; after
    /// [`try_enqueue`](super::Queue::try_enqueue), this says when the operation outlives a crash.
    /// Dropping the future ends only the wait.
    ///
    /// # Errors
    ///
    /// The operation could not be written. The error contains it, also in each further call.
    pub async fn durable(&mut self) -> Result<(), NotEnqueued> {
        let Some(unwritten) = &mut self.unwritten else {
            return Ok(());
        };
        match poll_fn(|cx| unwritten.poll_written(&self.shared, cx)).await {
            Ok(()) => {
                self.unwritten = None;
                Ok(())
            }
            Err(reason) => Err(NotEnqueued {
                operation: unwritten.operation.clone(),
                reason,
            }),
        }
    }
}

impl Future for Receipt {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let this = self.get_mut();
        // An operation on disk is not kept in memory for an error.
        if let Some(unwritten) = &mut this.unwritten
            && let Poll::Ready(Ok(())) = unwritten.poll_written(&this.shared, cx)
        {
            this.unwritten = None;
        }
        // Each operation is settled, also if the worker is dropped. A missing outcome is a defect
        // of this crate; then it may have been sent.
        let outcome = Pin::new(&mut this.outcome).poll(cx);
        outcome.map(|outcome| outcome.unwrap_or_else(|_| Outcome::Unknown(Cause::stopped())))
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").finish_non_exhaustive()
    }
}
