//! Decides whether to send a request again, and after how long.
//!
//! - [`RetryPolicy`] has all settings, with sensible defaults.
//! - [`Attempts`] applies it to one request: it counts attempts and returns the next wait.
//! - [`RetryTokens`] apply its [`RetryBudget`] to all requests.
//! - [`Verdict`] classifies a status, and [`is_idempotent`] a method. Both can be replaced: see
//!   [`RetryPolicy::classify`] and [`RetryPolicy::replays`].
//! - [`Backoff`] computes the wait, and [`RetryAfter`] reads the one that the server asks for.

mod attempts;
mod backoff;
mod budget;
mod date;
mod policy;
mod retry_after;
mod verdict;

pub use attempts::{Attempts, Failure};
pub use backoff::Backoff;
pub use budget::{RetryBudget, RetryTokens};
pub use date::{parse_date, parse_http_date};
pub use policy::RetryPolicy;
pub(crate) use retry_after::members;
pub use retry_after::{RetryAfter, wait_at_least};
pub use verdict::{Verdict, is_idempotent};
