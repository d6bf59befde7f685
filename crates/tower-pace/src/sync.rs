//! The lock of a wait queue and the atomic word of the permits.
//!
//! Only this file names them. The test `interleavings` compiles the same code with loom's types in
//! their place.

pub(crate) use std::sync::atomic::AtomicU64;
pub(crate) use std::sync::{Mutex, MutexGuard};
