use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rand::TryRng;
use rand::rngs::SysError;
#[expect(
    clippy::disallowed_types,
    reason = "the system gives each client a namespace of its own"
)]
use rand::rngs::SysRng;

use crate::{EventId, Timestamp};

/// Gives fresh ids to events that came without: derived from a random namespace and a running number.
#[derive(Debug)]
pub(super) struct FreshIds {
    namespace: [u8; 32],
    next: AtomicU64,
}

impl FreshIds {
    pub(super) fn from_system() -> Result<Self, SysError> {
        let mut namespace = [0; 32];
        SysRng.try_fill_bytes(&mut namespace)?;
        Ok(Self {
            namespace,
            next: AtomicU64::new(0),
        })
    }

    /// Returns ids that are the same in every process, for a client that reaches no API.
    pub(super) fn fixed() -> Self {
        Self {
            namespace: [0; 32],
            next: AtomicU64::new(0),
        }
    }

    pub(super) fn fresh(&self, timestamp: Option<Timestamp>) -> EventId {
        let number = self.next.fetch_add(1, Relaxed);
        EventId::derive(self.namespace, number.to_be_bytes(), timestamp)
    }
}
