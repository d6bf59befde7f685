//! Sends the records to the API, and gives each record exactly one outcome.
//!
//! ```text
//! reader ─► channel ─► packer ─► requests in flight ─► totals, problems
//!                                    │      ▲
//!                                    └ held ┘
//! ```
//!
//! Each queue is bounded, and each stage waits while the next one is full: memory does not grow
//! with the input.
//!
//! A request that fails for a reason that may pass is held and sent again. While other requests
//! succeed, it is sent again at once. While none does, the server has an outage: one request at a
//! time is sent, with growing pauses. A request that keeps failing while others succeed is split,
//! until the record that makes the server fail is alone.

mod api;
mod chunk;
mod first_rejections;
mod pipeline;
mod server;
mod stop;
mod tasks;

pub(crate) use self::first_rejections::MAX_SAME_REJECTIONS;
pub(crate) use self::pipeline::{MAX_WITHOUT_ANSWER, run};
pub(crate) use self::stop::{RunResult, Stop, Wait, chain};
