//! One binary for all that can be seen from outside.

#[cfg(feature = "client")]
mod client;
mod delivery;
#[cfg(feature = "client")]
mod departure;
mod golden;
#[cfg(feature = "client")]
mod hyper_pipe;
#[cfg(feature = "client")]
mod mask;
mod packer;
#[cfg(feature = "client")]
mod script;
mod secrets;
mod support;
