//! The signals that stop a run: SIGINT (Ctrl-C), SIGTERM and SIGHUP. Outside Unix, only Ctrl-C.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::interrupt::SignalSource;

/// Receives signals from its creation on.
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    kinds: Vec<Signal>,
}

// === impl Signals ===

impl Signals {
    /// Starts to receive signals. It must be called inside a runtime.
    #[cfg(unix)]
    pub(crate) fn new() -> io::Result<Self> {
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        if !is_hangup_ignored() {
            kinds.push(SignalKind::hangup());
        }
        let kinds = kinds.into_iter().map(signal).collect::<Result<_, _>>()?;
        Ok(Self { kinds })
    }

    #[cfg(not(unix))]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {})
    }
}

impl SignalSource for Signals {
    #[cfg(unix)]
    async fn next(&mut self) {
        std::future::poll_fn(|context| {
            let mut kinds = self.kinds.iter_mut();
            match kinds.any(|kind| kind.poll_recv(context).is_ready()) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            }
        })
        .await;
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Returns whether the process was started with SIGHUP ignored, as by `nohup`: then it must outlive
/// its terminal. Only Linux shows this without unsafe code.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

#[cfg(unix)]
fn ignores_hangup(status: &str) -> bool {
    let bit = 1 << (SignalKind::hangup().as_raw_value() - 1);
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & bit != 0)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_detected_from_the_mask_of_ignored_signals() {
        for (mask, expected) in [
            ("0000000000000000", false),
            ("0000000000000001", true),
            ("0000000000001000", false),
            ("0000000000001001", true),
            ("damaged", false),
        ] {
            let status = format!("SigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
            assert_eq!(ignores_hangup(&status), expected, "{mask}");
        }
        assert!(!ignores_hangup(""));
    }
}
