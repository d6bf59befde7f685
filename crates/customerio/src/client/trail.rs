use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use hyper_util::client::legacy::connect::CaptureConnection;

/// Remembers, across the attempts at one request, whether any of them may have arrived, and whether one is in flight.
///
/// It travels in the request's extensions. The last attempt's result alone does not tell: a timeout that is followed
/// by a 429 leaves the operation perhaps applied, and a call that is ended by its deadline has no result.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail(Arc<Steps>);

#[derive(Debug, Default)]
struct Steps {
    may_have_arrived: AtomicBool,
    is_in_flight: AtomicBool,
    /// Tells whether the attempt has a connection, where the transport can.
    connection: Mutex<Option<CaptureConnection>>,
}

/// Tells the caller that an attempt at the request was handed to the transport. It travels as the trail does.
#[derive(Clone, Debug)]
pub(super) struct Departure(pub(super) Arc<AtomicBool>);

impl Departure {
    pub(super) fn mark(&self) {
        self.0.store(true, Relaxed);
    }
}

impl Trail {
    pub(super) fn depart(&self) {
        self.0.is_in_flight.store(true, Relaxed);
        self.connection(|connection| *connection = None);
    }

    /// Takes from the transport what tells whether the attempt that departed has a connection.
    pub(super) fn watch(&self, attempt: CaptureConnection) {
        self.connection(|connection| *connection = Some(attempt));
    }

    pub(super) fn end(&self) {
        self.0.is_in_flight.store(false, Relaxed);
    }

    /// Returns whether an attempt is with the transport, with or without a connection.
    pub(super) fn has_departed(&self) -> bool {
        self.0.is_in_flight.load(Relaxed)
    }

    /// Returns whether an attempt is with the transport, and not known to be without a connection.
    pub(super) fn is_in_flight(&self) -> bool {
        self.0.is_in_flight.load(Relaxed) && !self.is_connecting()
    }

    /// Keeps the connection of the attempt from being used again: a request that got no answer in time may have met a dead
    /// one, on which HTTP/2 would send every other request, too. Those that are on it already are left alone.
    pub(super) fn poison_connection(&self) {
        self.connection(|connection| {
            let captured = connection.as_ref();
            let metadata = captured.map(CaptureConnection::connection_metadata);
            if let Some(connected) = metadata.as_ref().and_then(|metadata| metadata.as_ref()) {
                connected.poison();
            }
        });
    }

    fn is_connecting(&self) -> bool {
        self.connection(|connection| {
            let connection = connection.as_ref();
            connection.is_some_and(|watched| watched.connection_metadata().is_none())
        })
    }

    /// No step leaves it half changed, so a panic elsewhere does not spoil it.
    fn connection<T>(&self, step: impl FnOnce(&mut Option<CaptureConnection>) -> T) -> T {
        step(
            &mut self
                .0
                .connection
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    pub(super) fn mark_may_have_arrived(&self) {
        self.0.may_have_arrived.store(true, Relaxed);
    }

    pub(super) fn may_have_arrived(&self) -> bool {
        self.0.may_have_arrived.load(Relaxed)
    }
}
