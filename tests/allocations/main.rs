//! What the layers, a request and an answer ask of the heap: counted, so that no load of the
//! machine changes it.
//!
//! `cargo test --test allocations -- --nocapture` prints the counts.

mod answers;
#[path = "../../crates/bench/src/inner.rs"]
mod inner;
mod layers;
mod requests;

use allocation_counter::{AllocationInfo, measure};
use tokio::runtime::{Builder, Runtime};

/// What `work` asks of the heap on this thread, what it frees again included.
fn counted<T>(mut work: impl FnMut() -> T) -> AllocationInfo {
    measure(|| drop(work()))
}

/// One thread, on which everything is counted, and whose clock the tests drive.
fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

#[test]
fn an_allocation_is_counted() {
    assert_eq!(counted(|| Box::new(1)).count_total, 1);
    assert_eq!(counted(Vec::<u8>::new).count_total, 0);
}
