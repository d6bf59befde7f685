//! Heap allocations of the layers, of building a request and of reading a response, and the memory
//! of a queue and of a list that is read page by page. They are counted, not timed, so that the
//! load of the machine does not matter.
//!
//! `cargo test --test allocations -- --nocapture` prints the counts.

#[path = "../../crates/bench/src/inner.rs"]
mod inner;
mod layers;
mod pages;
mod queue;
mod requests;
mod responses;

use allocation_counter::{AllocationInfo, measure};
use tokio::runtime::{Builder, Runtime};

/// Counts the allocations of `work` on this thread, including those that it frees again.
fn counted<T>(mut work: impl FnMut() -> T) -> AllocationInfo {
    measure(|| drop(work()))
}

/// Returns a runtime on this thread with paused time. Allocations of other threads are not counted.
fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

#[test]
fn an_allocation_is_counted() {
    assert_eq!(counted(|| Box::new(1)).count_total, 1);
    assert_eq!(counted(Vec::<u8>::new).count_total, 0);
}
