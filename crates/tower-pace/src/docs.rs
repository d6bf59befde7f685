//! Longer pages: each has one subject, and assumes that you know the layers.

// Its clients are no dependencies of this crate: `crates/recipes` compiles and runs the page.
#[cfg_attr(not(doctest), doc = include_str!("../docs/clients.md"))]
pub mod clients {}

#[doc = include_str!("../docs/rate_limit.md")]
pub mod rate_limit {}
