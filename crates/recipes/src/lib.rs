//! Compiles and runs the recipes in the docs of `tower-pace`, against servers on the loopback.
//!
//! The clients in them have heavy dependencies. Here they are no dependencies of a published crate,
//! and a plain `cargo test` does not build them.

pub mod apis;
pub mod health;
pub mod redis;
pub mod server;

/// The pages, for `cargo test --doc`. In the docs of `tower-pace` they are not tested.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../tower-pace/docs/apis.md")]
    mod apis {}

    #[doc = include_str!("../../tower-pace/docs/applications.md")]
    mod applications {}

    #[doc = include_str!("../../tower-pace/docs/clients.md")]
    mod clients {}

    #[doc = include_str!("../../tower-pace/docs/processes.md")]
    mod processes {}
}
