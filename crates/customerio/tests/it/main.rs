//! One binary for all that can be seen from outside.

mod delivery;
mod golden;
mod packer;
mod secrets;
mod support;
