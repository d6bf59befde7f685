//! Longer pages: each has one subject, and assumes that you know the layers.

// The dependencies of these pages are none of this crate. `crates/recipes` compiles and runs them.

#[cfg_attr(not(doctest), doc = include_str!("../docs/apis.md"))]
pub mod apis {}

#[cfg_attr(not(doctest), doc = include_str!("../docs/applications.md"))]
pub mod applications {}

#[cfg_attr(not(doctest), doc = include_str!("../docs/clients.md"))]
pub mod clients {}

#[cfg_attr(not(doctest), doc = include_str!("../docs/processes.md"))]
pub mod processes {}

#[doc = include_str!("../docs/rate_limit.md")]
pub mod rate_limit {}
