use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::state::ConcurrencyState;
use crate::wait::Queue;

thread_local! {
    /// The limit whose service asks its inner service for readiness on this thread, or zero.
    static INNERMOST: Cell<usize> = const { Cell::new(0) };
    /// The limits that do so further up the stack of calls.
    static OUTER: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// A service that has a permit asks its inner service for readiness, until this is dropped.
///
/// The same limit twice in one stack would need a second permit then, and wait for it with the
/// first one in its hand. It would have to give that back, which lets another one try the same: all
/// would do so for ever, without a pause.
pub(super) struct Asking {
    outer: usize,
}

impl Asking {
    #[inline]
    pub(super) fn begin(queue: &Arc<Queue<ConcurrencyState>>) -> Self {
        let outer = INNERMOST.replace(address(queue));
        if outer != 0 {
            OUTER.with_borrow_mut(|limits| limits.push(outer));
        }
        Self { outer }
    }
}

impl Drop for Asking {
    #[inline]
    fn drop(&mut self) {
        INNERMOST.set(self.outer);
        if self.outer != 0 {
            OUTER.with_borrow_mut(Vec::pop);
        }
    }
}

/// Says whether a service of the same limit is asking up the stack of calls.
#[inline]
pub(super) fn is_asking(queue: &Arc<Queue<ConcurrencyState>>) -> bool {
    let (innermost, asked) = (INNERMOST.get(), address(queue));
    innermost != 0 && (innermost == asked || OUTER.with_borrow(|limits| limits.contains(&asked)))
}

fn address(queue: &Arc<Queue<ConcurrencyState>>) -> usize {
    Arc::as_ptr(queue).addr()
}
