use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::state::ConcurrencyState;
use crate::wait::Queue;

thread_local! {
    /// The address of the limit whose service polls its inner service for readiness on this thread,
    /// or zero.
    static INNERMOST: Cell<usize> = const { Cell::new(0) };
    /// The limits whose services do so further up the call stack.
    static OUTER: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Records that a service polls its inner service for readiness, until this is dropped.
///
/// If the same limit is twice in one stack, the inner service then needs a second permit. The outer
/// one would have to release its own to let it have one, another caller would do the same, and all
/// would repeat that forever without a pause.
pub(super) struct InnerPoll {
    outer: usize,
}

impl InnerPoll {
    #[inline]
    pub(super) fn begin(queue: &Arc<Queue<ConcurrencyState>>) -> Self {
        let outer = INNERMOST.replace(address(queue));
        if outer != 0 {
            push_outer(outer);
        }
        Self { outer }
    }
}

impl Drop for InnerPoll {
    #[inline]
    fn drop(&mut self) {
        INNERMOST.set(self.outer);
        if self.outer != 0 {
            pop_outer();
        }
    }
}

// Out of line, with the two functions below: few stacks have two limits, and the first use of the
// list registers its destructor.
#[cold]
fn push_outer(limit: usize) {
    OUTER.with_borrow_mut(|limits| limits.push(limit));
}

#[cold]
fn pop_outer() {
    OUTER.with_borrow_mut(Vec::pop);
}

/// Returns whether a service of the same limit polls its inner service further up the call stack.
#[inline]
pub(super) fn is_nested(queue: &Arc<Queue<ConcurrencyState>>) -> bool {
    let (innermost, limit) = (INNERMOST.get(), address(queue));
    innermost != 0 && (innermost == limit || is_outer(limit))
}

#[cold]
fn is_outer(limit: usize) -> bool {
    OUTER.with_borrow(|limits| limits.contains(&limit))
}

fn address(queue: &Arc<Queue<ConcurrencyState>>) -> usize {
    Arc::as_ptr(queue).addr()
}
