//! Reads what a server says of its limits in the header fields of an answer, in all their
//! generations.
//!
//! - ad hoc: `X-RateLimit-Limit`, `-Remaining`, `-Reset`, also `X-Rate-Limit-*`, and with
//!   `-Second`, `-Minute`, `-Hour` or `-Day` behind;
//! - drafts 0 to 6 of the IETF's `ratelimit-headers`: `RateLimit-Limit`, `-Remaining`, `-Reset`,
//!   `RateLimit-Policy: 100;w=60`;
//! - draft 7: `RateLimit: limit=100, remaining=50, reset=30`;
//! - drafts 8 to 11: `RateLimit: "default";r=50;t=30`, `RateLimit-Policy: "default";q=100;w=60`.
//!
//! Reading is lenient, member by member: what is malformed is passed over and never hides the rest.
//! It is bounded too: of a field, eight lines of 1,024 bytes and eight members are read, of all
//! together eight policies and eight budgets.

mod limits;
mod member;
mod named;
mod obey;
mod reset;

pub use limits::{Allotment, Budget, LimitFields};
