use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::{App, Error, Pages};
use crate::Timestamp;
use crate::app::{Activity, ActivityQuery, FailureQuery};

/// The failed and skipped activities since a moment, as a `Stream`. It holds one page at a time.
///
/// [`App::failures`] returns it. The lists of its types are read one after the other, each from its
/// newest activity on. An activity without a time is included.
///
/// An activity may come twice if others are added while pages are read; both have the same
/// [`id`](Activity::id). After an error the stream ends, and [`resume`](Self::resume) continues it.
///
/// Dropping a call of [`next`](Self::next) loses nothing.
#[must_use = "no page is requested before the first activity is"]
pub struct Failures {
    app: App,
    first: Timestamp,
    /// After how many older activities in a row the rest of a list is not read.
    stop_after: usize,
    queries: VecDeque<ActivityQuery>,
    list: Option<Pages<Activity>>,
    /// How many older activities in a row the list had.
    older: usize,
}

impl Failures {
    pub(super) fn new(app: App, query: &FailureQuery) -> Self {
        Self {
            app,
            first: query.first(),
            stop_after: query.older(),
            queries: query.queries().collect(),
            list: None,
            older: 0,
        }
    }

    /// Returns the next activity, or `None` at the end. This is `StreamExt::next` without a trait.
    ///
    /// # Errors
    ///
    /// As for [`Pages::next`].
    pub async fn next(&mut self) -> Option<Result<Activity, Error>> {
        poll_fn(|cx| self.poll_activity(cx)).await
    }

    /// Continues after an error: the page that could not be read is requested again.
    pub fn resume(&mut self) {
        if let Some(list) = &mut self.list {
            list.resume();
        }
    }

    fn poll_activity(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Activity, Error>>> {
        let first = self.first;
        let is_older = |activity: &Activity| activity.timestamp.is_some_and(|time| time < first);
        loop {
            let Some(list) = &mut self.list else {
                let Some(query) = self.queries.pop_front() else {
                    return Poll::Ready(None);
                };
                self.older = 0;
                self.list = Some(self.app.activities(&query));
                continue;
            };
            match ready!(list.poll_item(cx)) {
                Some(Ok(activity)) if is_older(&activity) => {
                    self.older += 1;
                    if self.older >= self.stop_after {
                        self.list = None;
                    }
                }
                Some(Ok(activity)) => {
                    self.older = 0;
                    return Poll::Ready(Some(Ok(activity)));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                // After an error too, where the next list would hide that this one has more.
                None if list.has_failed() => return Poll::Ready(None),
                None => self.list = None,
            }
        }
    }
}

impl Stream for Failures {
    type Item = Result<Activity, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_activity(cx)
    }
}

/// Leaves out activities.
impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failures")
            .field("first", &self.first)
            .field("list", &self.list)
            .finish_non_exhaustive()
    }
}
