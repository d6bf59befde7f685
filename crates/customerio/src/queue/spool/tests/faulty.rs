use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use crate::queue::spool::error::{Kind, SpoolError};
use crate::queue::spool::sqlite::Sqlite;
use crate::queue::spool::store::{Changes, DeadRow, Failure, Row, Store, Written};

/// What a store does with the next calls.
#[derive(Debug, Default)]
pub(super) struct Plan {
    state: Mutex<State>,
    is_committing: AtomicBool,
    /// The most bytes of operations in one call that loads.
    most_read: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    commits: VecDeque<Fault>,
    /// Whether each transaction fails that inserts, and each other one while there is a reserve.
    is_full: bool,
    /// Whether the reserve is of no use: each transaction fails.
    is_overfull: bool,
    /// Whether the disk is full from the next departure on.
    fills_at_departure: bool,
    crash: Option<Crash>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The transaction is not written, and the error says that this is open.
    Lost,
    /// The transaction is written, and the error says that this is open.
    Written,
    Busy,
}

/// Aborts the process at the given call of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crash {
    pub(super) step: Step,
    pub(super) calls: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    BeforeCommit,
    AfterCommit,
    BeforeLoad,
    AfterLoad,
}

impl Step {
    pub(super) const ALL: [Self; 4] = [
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::BeforeLoad,
        Self::AfterLoad,
    ];
}

impl Plan {
    pub(super) fn new(commits: impl IntoIterator<Item = Fault>) -> Arc<Self> {
        let plan = Self::default();
        plan.state.lock().unwrap().commits.extend(commits);
        Arc::new(plan)
    }

    pub(super) fn crashing(crash: Option<Crash>) -> Arc<Self> {
        let plan = Self::default();
        plan.state.lock().unwrap().crash = crash;
        Arc::new(plan)
    }

    pub(super) fn fail_next(&self, fault: Fault) {
        self.state.lock().unwrap().commits.push_back(fault);
    }

    pub(super) fn set_full(&self, is_full: bool, is_overfull: bool) {
        let mut state = self.state.lock().unwrap();
        (state.is_full, state.is_overfull) = (is_full, is_overfull);
    }

    /// Returns whether the writer waits for the disk.
    pub(super) fn is_committing(&self) -> bool {
        self.is_committing.load(Relaxed)
    }

    pub(super) fn most_read(&self) -> u64 {
        self.most_read.load(Relaxed)
    }

    pub(super) fn fill_at_departure(&self) {
        self.state.lock().unwrap().fills_at_departure = true;
    }

    fn step(&self, step: Step) {
        let mut state = self.state.lock().unwrap();
        let Some(crash) = state.crash.as_mut().filter(|crash| crash.step == step) else {
            return;
        };
        crash.calls -= 1;
        if crash.calls == 0 {
            println!("crashed");
            std::process::abort();
        }
    }
}

/// A store that fails as its plan says.
pub(super) struct Faulty {
    inner: Sqlite,
    plan: Arc<Plan>,
}

impl Faulty {
    pub(super) fn new(inner: Sqlite, plan: &Arc<Plan>) -> Self {
        Self {
            inner,
            plan: Arc::clone(plan),
        }
    }
}

fn error(kind: Kind) -> SpoolError {
    SpoolError::new(Path::new("queue.db"), kind)
}

fn failed() -> Failure {
    Failure::Failed(error(Kind::Failed("disk I/O error".into())))
}

impl Faulty {
    fn commit_or_fail(&mut self, changes: &Changes) -> Result<Written, Failure> {
        self.plan.step(Step::BeforeCommit);
        let (fault, is_full) = {
            let mut state = self.plan.state.lock().unwrap();
            let needs_room = !changes.inserted.is_empty() || self.inner.reserve().exists();
            let is_full = state.is_overfull || (state.is_full && needs_room);
            (state.commits.pop_front(), is_full)
        };
        match fault {
            Some(Fault::Lost) => return Err(failed()),
            Some(Fault::Busy) => {
                return Err(Failure::Busy(error(Kind::Failed(
                    "database is locked".into(),
                ))));
            }
            Some(Fault::Written) => {
                self.inner.commit(changes)?;
                return Err(failed());
            }
            None if is_full => return Err(Failure::DiskFull(error(Kind::DiskFull))),
            None => {}
        }
        let written = self.inner.commit(changes)?;
        if !changes.departures.is_empty() {
            let mut state = self.plan.state.lock().unwrap();
            if state.fills_at_departure {
                (state.is_full, state.is_overfull) = (true, true);
            }
        }
        self.plan.step(Step::AfterCommit);
        Ok(written)
    }
}

impl Store for Faulty {
    fn commit(&mut self, changes: &Changes) -> Result<Written, Failure> {
        self.plan.is_committing.store(true, Relaxed);
        let committed = self.commit_or_fail(changes);
        self.plan.is_committing.store(false, Relaxed);
        committed
    }

    fn load(
        &mut self,
        from: u64,
        limit: usize,
        fits: &mut dyn FnMut(&Row) -> bool,
    ) -> Result<Vec<Row>, Failure> {
        self.plan.step(Step::BeforeLoad);
        let mut read = 0;
        let rows = self.inner.load(from, limit, &mut |row| {
            read += row.bytes();
            fits(row)
        })?;
        self.plan.most_read.fetch_max(read, Relaxed);
        self.plan.step(Step::AfterLoad);
        Ok(rows)
    }

    fn dead_letters(&mut self, after: u64, limit: usize) -> Result<Vec<DeadRow>, Failure> {
        self.inner.dead_letters(after, limit)
    }

    fn dead(&self) -> u64 {
        self.inner.dead()
    }

    fn release_reserve(&mut self) {
        self.inner.release_reserve();
    }

    fn refill_reserve(&mut self) -> Result<(), SpoolError> {
        match self.plan.state.lock().unwrap().is_full {
            true => Err(error(Kind::DiskFull)),
            false => self.inner.refill_reserve(),
        }
    }
}
