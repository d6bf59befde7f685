//! The lock of a line and the word before it: what decides who has a permit. They are named here alone, since a test
//! compiles the line and the permits with others in their place, which try every interleaving.

pub(crate) use std::sync::atomic::AtomicU64;
pub(crate) use std::sync::{Mutex, MutexGuard};
