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
//! `customerio::packer::Dispatcher` decides which request is sent next, and what is sent again
//! after a failure. This module reads, sends, counts, and stops the run.

mod api;
mod first_rejections;
mod pipeline;
mod server;
mod stop;
mod tasks;

pub(crate) use self::first_rejections::MAX_SAME_REJECTIONS;
pub(crate) use self::pipeline::{MAX_WITHOUT_ANSWER, Reports, run};
pub(crate) use self::stop::{Stop, Wait, chain};
