//! Says what an answer means, how long to back off, and what `Retry-After` asked for.

mod backoff;
mod policy;
mod retry_after;
mod verdict;

pub use backoff::Backoff;
pub use policy::{Attempts, Failure, RetryPolicy};
pub use retry_after::{parse_retry_after, wait_at_least};
pub use verdict::Verdict;
