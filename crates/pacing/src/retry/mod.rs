//! Says what an answer means, whether and when to try again, and what `Retry-After` asked for.
//!
//! Three small decisions, each of which can be replaced: what happened ([`Verdict`],
//! [`RetryPolicy::classify`]), may it be sent again ([`is_idempotent`], [`RetryPolicy::replays`]),
//! and how long to wait ([`Backoff`], [`RetryAfter`]). [`Attempts`] applies them to one request,
//! and an [`Account`] of the [`Budget`] to all.

mod attempts;
mod backoff;
mod budget;
mod date;
mod policy;
mod retry_after;
mod verdict;

pub use attempts::{Attempts, Failure};
pub use backoff::Backoff;
pub use budget::{Account, Budget};
pub use date::{parse_date, parse_http_date};
pub use policy::RetryPolicy;
pub(crate) use retry_after::members;
pub use retry_after::{RetryAfter, wait_at_least};
pub use verdict::{Verdict, is_idempotent};
