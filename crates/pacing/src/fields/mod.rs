//! Reads the header fields in which a server states its limits, in all their generations.
//!
//! - ad hoc: `X-RateLimit-Limit`, `-Remaining`, `-Reset`, also `X-Rate-Limit-*`, and with the
//!   suffix `-Second`, `-Minute`, `-Hour` or `-Day`;
//! - language models: the same with the suffix `-Requests` or `-Tokens`, and
//!   `Anthropic-RateLimit-Requests-*`, `-Tokens-*`; the reset may be a duration, `6m0s`;
//! - drafts 0 to 6 of the IETF's `ratelimit-headers`: `RateLimit-Limit`, `-Remaining`, `-Reset`,
//!   `RateLimit-Policy: 100;w=60`;
//! - draft 7: `RateLimit: limit=100, remaining=50, reset=30`;
//! - drafts 8 to 11: `RateLimit: "default";r=50;t=30`, `RateLimit-Policy: "default";q=100;w=60`.
//!
//! [`LimitFields::read`] is lenient: a malformed member is ignored and hides no other. It is
//! bounded too: it reads eight lines of 1,024 bytes and eight members per field, and eight policies
//! and eight limits in all.

mod duration;
mod limit_fields;
mod structured;

pub use limit_fields::{LimitFields, StatedLimit, StatedPolicy, StatedUnit};
