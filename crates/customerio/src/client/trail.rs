use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use http::Extensions;
use hyper_util::client::legacy::connect::CaptureConnection;

use super::meter::{Meter, OnConnection};

/// Remembers, across the attempts at one request, whether any of them may have arrived, and whether
/// one is in flight.
///
/// It travels in the request's extensions. The last attempt's result alone does not tell: a timeout
/// that is followed by a 429 leaves the operation perhaps applied, and a call that is ended by its
/// deadline has no result.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail(Arc<Steps>);

#[derive(Debug, Default)]
struct Steps {
    may_have_arrived: AtomicBool,
    is_in_flight: AtomicBool,
    connection: Mutex<Wire>,
    departure: Option<Departure>,
}

/// What is known of the connection of the attempt that is in flight.
#[derive(Debug, Default)]
struct Wire {
    /// Tells whether the attempt has a connection, where the transport can.
    captured: Option<CaptureConnection>,
    /// Held from when it has one to its end.
    request: Option<OnConnection>,
}

/// Tells the caller that an attempt at the request was handed to the transport.
#[derive(Clone, Debug)]
pub(super) struct Departure {
    has_left: Arc<AtomicBool>,
    /// Whether an earlier part of the call has been answered, so that the call as a whole cannot be
    /// taken back.
    is_final: bool,
}

impl Departure {
    pub(super) fn new(has_left: &Arc<AtomicBool>) -> Self {
        Self {
            has_left: Arc::clone(has_left),
            is_final: false,
        }
    }

    /// Returns what tells of the parts that follow an answer.
    pub(super) fn finally(self) -> Self {
        Self {
            is_final: true,
            ..self
        }
    }
}

impl Trail {
    pub(super) fn new(departure: Option<Departure>) -> Self {
        Self(Arc::new(Steps {
            departure,
            ..Steps::default()
        }))
    }

    pub(super) fn depart(&self) {
        if let Some(departure) = &self.0.departure {
            departure.has_left.store(true, Relaxed);
        }
        self.0.is_in_flight.store(true, Relaxed);
        self.connection(|wire| *wire = Wire::default());
    }

    /// Takes from the transport what tells whether the attempt that departed has a connection.
    pub(super) fn watch(&self, attempt: CaptureConnection) {
        self.connection(|wire| wire.captured = Some(attempt));
    }

    /// Counts the attempt among the requests on its connection, once it has one.
    pub(super) fn note_connection(&self) {
        self.connection(|wire| {
            if wire.request.is_some() {
                return;
            }
            let metadata = wire
                .captured
                .as_ref()
                .map(CaptureConnection::connection_metadata);
            let meter = metadata.as_ref().and_then(|metadata| {
                let mut extras = Extensions::new();
                metadata.as_ref()?.get_extras(&mut extras);
                extras.remove::<Meter>()
            });
            drop(metadata);
            wire.request = meter.as_ref().map(Meter::begin);
        });
    }

    pub(super) fn end(&self) {
        self.0.is_in_flight.store(false, Relaxed);
        self.connection(|wire| wire.request = None);
    }

    /// Tells the caller that nothing of the call has left so far, after an attempt that was
    /// throttled or never sent.
    pub(super) fn take_back(&self) {
        let departure = self.0.departure.as_ref();
        let departure = departure.filter(|departure| !departure.is_final);
        if let Some(departure) = departure.filter(|_| !self.may_have_arrived()) {
            departure.has_left.store(false, Relaxed);
        }
    }

    /// Returns whether an attempt is with the transport, with or without a connection.
    pub(super) fn has_departed(&self) -> bool {
        self.0.is_in_flight.load(Relaxed)
    }

    /// Returns whether an attempt is with the transport, and not known to be without a connection.
    pub(super) fn is_in_flight(&self) -> bool {
        self.0.is_in_flight.load(Relaxed) && !self.is_connecting()
    }

    /// Keeps the connection of the attempt from being used again: a request that got no answer in
    /// time may have met a dead one, on which HTTP/2 would send every other request, too. Those
    /// that are on it already are left alone.
    pub(super) fn poison_connection(&self) {
        self.connection(|wire| {
            let captured = wire.captured.as_ref();
            let metadata = captured.map(CaptureConnection::connection_metadata);
            if let Some(connected) = metadata.as_ref().and_then(|metadata| metadata.as_ref()) {
                connected.poison();
            }
        });
    }

    fn is_connecting(&self) -> bool {
        self.connection(|wire| {
            let captured = wire.captured.as_ref();
            captured.is_some_and(|captured| captured.connection_metadata().is_none())
        })
    }

    /// No step leaves it half changed, so a panic elsewhere does not spoil it.
    fn connection<T>(&self, step: impl FnOnce(&mut Wire) -> T) -> T {
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
