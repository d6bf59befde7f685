//! Longer pages: each has one subject, and assumes that you know the layers.

#[doc = include_str!("../docs/clients.md")]
pub mod clients {}

#[doc = include_str!("../docs/rate_limit.md")]
pub mod rate_limit {}
