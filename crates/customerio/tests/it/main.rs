//! One binary for all that can be seen from outside.

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod connections;
#[cfg(feature = "client")]
mod dead_connections;
#[cfg(feature = "client")]
mod deadline;
mod delivery;
#[cfg(feature = "client")]
mod departure;
#[cfg(feature = "client")]
mod floods;
mod fuzzed;
#[cfg(feature = "client")]
mod goaway;
mod golden;
mod golden_v1;
mod golden_v2;
#[cfg(feature = "client")]
mod hostile;
#[cfg(feature = "client")]
mod http2;
#[cfg(feature = "client")]
mod hyper_pipe;
#[cfg(feature = "client")]
mod mask;
mod packer;
mod recorded;
#[cfg(feature = "client")]
mod script;
mod secrets;
mod shapes;
#[cfg(feature = "client")]
mod simulated;
mod support;
#[cfg(feature = "testing")]
mod testing;
#[cfg(feature = "tracing")]
mod traced;
mod traps;
mod validation;
