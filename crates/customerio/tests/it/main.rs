//! One binary for all that can be seen from outside.

#[cfg(feature = "client")]
mod client;
mod delivery;
mod golden;
#[cfg(feature = "client")]
mod hyper_pipe;
mod packer;
#[cfg(feature = "client")]
mod script;
mod secrets;
mod support;
