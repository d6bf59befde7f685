use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rand::TryRng;
use rand::rngs::SysError;
#[expect(
    clippy::disallowed_types,
    reason = "the system gives each client a namespace of its own"
)]
use rand::rngs::SysRng;

use crate::{EventId, Timestamp};

/// Returns an id from 80 random bits.
pub(crate) fn random_id() -> EventId {
    let mut random = [0; 16];
    SysRng
        .try_fill_bytes(&mut random[6..])
        .expect("the system has a source of randomness");
    EventId::from_parts(0, u128::from_be_bytes(random))
}

/// Creates ids for events without one, from a random namespace and a counter.
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

    /// Uses a constant namespace, for a client that sends nothing.
    pub(super) fn fixed() -> Self {
        Self {
            namespace: [0; 32],
            next: AtomicU64::new(0),
        }
    }

    pub(super) fn fresh(&self, timestamp: Option<Timestamp>) -> EventId {
        // Relaxed: each number is used once, in any order.
        let number = self.next.fetch_add(1, Relaxed);
        EventId::derive(self.namespace, number.to_be_bytes(), timestamp)
    }
}
