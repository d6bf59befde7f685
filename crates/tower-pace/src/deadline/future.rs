use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};

use super::Deadline;
use crate::clock;
use crate::error::Error;
use crate::wait::POLLED_AFTER_ITS_END;

pin_project! {
    /// The response future of [`Deadlined`](super::Deadlined). Its drop, or the deadline, drops the
    /// inner call.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        // Both are `None` once it has completed: a future that lives on after that must hold
        // nothing.
        #[pin]
        inner: Option<F>,
        // Created at the first wait, since a timer needs a runtime.
        #[pin]
        timer: Option<Sleep>,
        deadline: Deadline,
        // The deadline had passed before the call, so there is no inner call.
        is_late: bool,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, deadline: Deadline) -> Self {
        Self {
            inner: Some(inner),
            timer: None,
            deadline,
            is_late: false,
        }
    }

    pub(super) fn late(deadline: Deadline) -> Self {
        Self {
            inner: None,
            timer: None,
            deadline,
            is_late: true,
        }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if mem::take(this.is_late) {
            return Poll::Ready(Err(Error::late()));
        }
        let inner = this.inner.as_mut().as_pin_mut();
        let inner = inner.expect(POLLED_AFTER_ITS_END);
        // A call that sends nothing before its first poll must not begin after the deadline. At
        // later polls a response that is there comes before the deadline.
        let is_too_late = this.timer.is_none() && this.deadline.has_passed();
        let polled = match is_too_late {
            true => Poll::Pending,
            false => inner.poll(cx),
        };
        let result = match polled {
            Poll::Ready(result) => result.map_err(Error::inner),
            Poll::Pending => {
                ready!(poll_deadline(this.timer.as_mut(), *this.deadline, cx));
                Err(Error::elapsed())
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
