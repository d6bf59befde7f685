use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};

use super::{Deadline, TimedOut};
use crate::clock;

pin_project! {
    /// The response of [`Deadlined`](super::Deadlined). A drop, or the deadline, drops the inner call.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        // Both are taken when it has ended: a future that has completed may live on and must hold nothing.
        #[pin]
        inner: Option<F>,
        // Made at the first wait, since a timer needs a runtime.
        #[pin]
        timer: Option<Sleep>,
        deadline: Deadline,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, deadline: Deadline) -> Self {
        Self {
            inner: Some(inner),
            timer: None,
            deadline,
        }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, TimedOut<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let inner = this.inner.as_mut().as_pin_mut();
        let result = match inner
            .expect("a future is not polled after its end")
            .poll(cx)
        {
            Poll::Ready(result) => result.map_err(TimedOut::inner),
            Poll::Pending => {
                ready!(poll_deadline(this.timer.as_mut(), *this.deadline, cx));
                Err(TimedOut::elapsed())
            }
        };
        this.inner.set(None);
        this.timer.set(None);
        Poll::Ready(result)
    }
}

fn poll_deadline(
    mut timer: Pin<&mut Option<Sleep>>,
    deadline: Deadline,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if timer.is_none() {
        timer.set(Some(sleep_until(deadline.moment().into())));
    }
    let timer = timer.as_pin_mut().expect("it was just set");
    clock::poll_guard(timer, cx)
}
