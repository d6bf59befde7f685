use std::task::Waker;

use pacing::{Group, Moment, Position};
use tokio::time::Instant;

use super::waited::Cause;

/// A place in the line, and since when its holder waits for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) ticket: Position,
    pub(super) since: Moment,
}

/// Who asks: from which lane, for how much, and for how long.
#[derive(Clone, Debug)]
pub(super) struct Caller<D, W> {
    pub(super) lane: Group,
    pub(super) demand: D,
    pub(super) patience: W,
}

/// What a waiter is told when it asks for its turn.
pub(super) enum Turn {
    /// It is due and next. Another waiter may still claim before it.
    Come(Moment),
    /// It stands in the line.
    Wait(Wait),
}

/// How one stands in the line.
pub(super) struct Wait {
    pub(super) standing: Standing,
    pub(super) cause: Cause,
    pub(super) now: Moment,
    /// When it should look again.
    pub(super) until: Instant,
}

/// Whom a change of the resource concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Nobody: it lets in no more than before.
    Nobody,
    /// The next waiter, if it was told to wait for an answer.
    IfAwaited,
    /// The next waiter.
    Always,
    /// The next waiter, and all behind it whose timers would be too late if it did not come. Each
    /// waiter is looked at.
    All,
}

/// The wakers to call for a change, once the lock is released.
#[derive(Debug, Default)]
pub(super) struct Woken {
    /// The one who is next.
    pub(super) next: Option<Waker>,
    /// The waiters behind it whose timers are too late.
    pub(super) behind: Vec<Waker>,
}

impl Woken {
    pub(super) fn wake(self) {
        self.next
            .into_iter()
            .chain(self.behind)
            .for_each(Waker::wake);
    }
}
