//! Ends the process as a crash does, at a point that a test names. Only debug builds can.
//!
//! `CIO_IMPORT_CRASH="a line:3"` kills the process when it reaches that point for the third time.

#[cfg(debug_assertions)]
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Kills the process if a test has named this point.
pub(crate) fn point(name: &str) {
    if is_due(name) {
        now();
    }
}

/// Returns whether the process is to be killed at this point.
#[cfg(debug_assertions)]
pub(crate) fn is_due(name: &str) -> bool {
    /// How often the point was reached. One process has one point, so one counter is enough.
    static REACHED: AtomicU64 = AtomicU64::new(0);
    let Ok(setting) = std::env::var("CIO_IMPORT_CRASH") else {
        return false;
    };
    let Some((point, time)) = setting.rsplit_once(':') else {
        return false;
    };
    let is_reached = || REACHED.fetch_add(1, Relaxed) + 1;
    point == name && time.parse() == Ok(is_reached())
}

#[cfg(not(debug_assertions))]
pub(crate) const fn is_due(_name: &str) -> bool {
    false
}

/// Kills the process: no destructor runs, and no file is flushed.
#[cfg(unix)]
pub(crate) fn now() {
    use rustix::process::{Signal, getpid, kill_process};

    // The kernel ends the process before the call returns.
    let _ = kill_process(getpid(), Signal::KILL);
}

#[cfg(not(unix))]
pub(crate) fn now() {
    std::process::abort();
}
