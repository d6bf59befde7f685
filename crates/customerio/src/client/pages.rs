use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

use futures_core::Stream;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{App, AppResponse, Error};
use crate::app::AppRequest;
use crate::{Cause, InvalidInput};

/// The items of a list of the App API, as a `Stream`. It holds one page at a time.
///
/// A page is requested when the one before was read. The list ends when a page names no next one.
/// After an error the stream ends; [`next_page`](Self::next_page) then returns where to
/// [start](Self::start) again.
///
/// Dropping a call of [`next`](Self::next) loses nothing.
#[must_use = "no page is requested before the first item is"]
pub struct Pages<T> {
    app: App,
    request: Result<AppRequest, InvalidInput>,
    /// The member of a page that holds the items.
    list: &'static str,
    items: vec::IntoIter<T>,
    /// Where the next page starts; `None` for the first.
    next: Option<String>,
    cycle: CycleCheck,
    state: State,
}

type Loading = Pin<Box<dyn Future<Output = Result<AppResponse, Error>> + Send>>;

enum State {
    // Waiting => Loading when its items were read
    Waiting,
    // Loading => Waiting with a page, Ended with the last page, or Failed
    Loading(Loading),
    // Failed => Waiting when the caller resumes
    Failed,
    Ended,
}

impl<T> Pages<T> {
    pub(super) fn new(
        app: App,
        request: Result<AppRequest, InvalidInput>,
        list: &'static str,
    ) -> Self {
        Self {
            app,
            request,
            list,
            items: Vec::new().into_iter(),
            next: None,
            cycle: CycleCheck::default(),
            state: State::Waiting,
        }
    }

    /// Starts at a page that [`next_page`](Self::next_page) returned earlier.
    pub fn start(mut self, page: impl Into<String>) -> Self {
        self.next = Some(page.into());
        self
    }

    /// Returns where the next page starts: that after the items read now, or that of an error.
    /// `None` is the first page, and after the end of the list it is meaningless.
    #[must_use]
    pub fn next_page(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// Continues after an error: the page that could not be read is requested again. It has no
    /// effect after the end of the list.
    pub fn resume(&mut self) {
        if let State::Failed = self.state {
            self.state = State::Waiting;
        }
    }

    /// Returns whether an error ended it, and the list may have more.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed)
    }

    fn load(&self) -> Result<Loading, InvalidInput> {
        let mut request = self.request.clone()?;
        if let Some(start) = &self.next {
            request = request.query("start", start)?;
        }
        let app = self.app.clone();
        Ok(Box::pin(async move { app.execute(&request).await }))
    }
}

impl<T: DeserializeOwned> Pages<T> {
    /// Returns the next item, or `None` at the end. This is `StreamExt::next` without a trait.
    ///
    /// # Errors
    ///
    /// A page could not be read: as for [`AppCall::send`](super::AppCall::send), or its items have
    /// another structure than `T`.
    pub async fn next(&mut self) -> Option<Result<T, Error>> {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    pub(super) fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Error>>> {
        loop {
            if let Some(item) = self.items.next() {
                return Poll::Ready(Some(Ok(item)));
            }
            let result = match &mut self.state {
                State::Waiting => match self.load() {
                    Ok(loading) => {
                        self.state = State::Loading(loading);
                        continue;
                    }
                    Err(invalid) => Err(invalid.into()),
                },
                State::Loading(loading) => {
                    let response = ready!(loading.as_mut().poll(cx));
                    response.and_then(|response| self.take(&response))
                }
                State::Failed | State::Ended => return Poll::Ready(None),
            };
            match result {
                Ok(state) => self.state = state,
                Err(error) => {
                    self.state = State::Failed;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    /// Takes the items of a page, and returns what follows.
    fn take(&mut self, response: &AppResponse) -> Result<State, Error> {
        let mut page: Map<String, Value> = response.json()?;
        let unread = |error| Error::unread(response.status(), &error);
        // A page without the member has another structure; `null` is an empty list.
        let items = page.remove(self.list).unwrap_or(Value::Bool(false));
        let items: Option<Vec<T>> = serde_json::from_value(items).map_err(unread)?;
        let next = page.remove("next").unwrap_or_default();
        let next: Option<String> = serde_json::from_value(next).map_err(unread)?;
        let next = next.filter(|next| !next.is_empty());
        if let Some(next) = &next
            && (self.next.as_ref() == Some(next) || self.cycle.repeats(next))
        {
            // The same pages again, forever.
            return Err(Error::failed(Cause::new(RepeatedPage)));
        }
        self.items = items.unwrap_or_default().into_iter();
        let state = match &next {
            Some(_) => State::Waiting,
            None => State::Ended,
        };
        self.next = next;
        Ok(state)
    }
}

/// Finds pages that lead back to an earlier one, in the memory of one position.
///
/// This is Brent's algorithm: it keeps the position after 1, 3, 7, 15, ... pages, and compares each
/// later one with it. A cycle of n pages that begins after m others is found within 3 (m + n) + 2.
#[derive(Default)]
struct CycleCheck {
    kept: Option<String>,
    pages: u64,
    /// The position is kept once more pages than these were read.
    keep_after: u64,
}

impl CycleCheck {
    /// Returns whether the page that starts at `next` is known to be an earlier one.
    fn repeats(&mut self, next: &str) -> bool {
        if self.kept.as_deref() == Some(next) {
            return true;
        }
        self.pages += 1;
        if self.pages > self.keep_after {
            self.kept = Some(next.to_owned());
            self.keep_after = 2 * self.pages;
        }
        false
    }
}

// Nothing in it is pinned: the future of a page is in a box.
impl<T> Unpin for Pages<T> {}

impl<T: DeserializeOwned> Stream for Pages<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(cx)
    }
}

/// Leaves out items and position.
impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct RepeatedPage;

impl fmt::Display for RepeatedPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pages of the list lead back to an earlier one; request them one by one")
    }
}

impl std::error::Error for RepeatedPage {}
