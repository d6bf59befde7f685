use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use http::Extensions;
use hyper_util::client::legacy::connect::CaptureConnection;

use super::receive_limit::{CountedRequest, ReceiveLimit};

/// The progress of one request over all its attempts: whether one may have arrived, and whether one
/// is in flight.
///
/// It is in the request's extensions, so that each layer can record its part. The result of the
/// last attempt is not enough: after a timeout that is followed by a 429, the operation may have
/// been applied; and a call that passes its deadline has no result.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestProgress(Arc<State>);

/// The flags are relaxed: none guards other data, and each is read in the task that wrote it. The
/// caller reads its flag after it polled or dropped the future.
#[derive(Debug, Default)]
struct State {
    may_have_arrived: AtomicBool,
    is_in_flight: AtomicBool,
    /// Locked for a few instructions at a time, never while a future is polled.
    connection: Mutex<AttemptConnection>,
    departure: Option<DepartureFlag>,
}

/// The connection of the attempt in flight.
#[derive(Debug, Default)]
struct AttemptConnection {
    /// Shows whether the attempt has a connection. `None` if the transport cannot say.
    captured: Option<CaptureConnection>,
    /// Held from the moment the attempt has a connection until it ends.
    counted: Option<CountedRequest>,
}

/// Tells the caller whether a request of the call has departed.
#[derive(Clone, Debug)]
pub(super) struct DepartureFlag {
    has_departed: Arc<AtomicBool>,
    /// Whether an earlier request of the call got a response. The flag then stays set: the call as
    /// a whole has had an effect.
    is_final: bool,
}

impl DepartureFlag {
    pub(super) fn new(has_departed: &Arc<AtomicBool>) -> Self {
        Self {
            has_departed: Arc::clone(has_departed),
            is_final: false,
        }
    }

    /// Returns the flag for the later requests of a call, which do not clear it.
    pub(super) fn never_cleared(self) -> Self {
        Self {
            is_final: true,
            ..self
        }
    }
}

impl RequestProgress {
    pub(super) fn new(departure: Option<DepartureFlag>) -> Self {
        Self(Arc::new(State {
            departure,
            ..State::default()
        }))
    }

    /// Records that an attempt departs.
    pub(super) fn record_departure(&self) {
        if let Some(departure) = &self.0.departure {
            departure.has_departed.store(true, Relaxed);
        }
        self.0.is_in_flight.store(true, Relaxed);
        self.with_connection(|connection| *connection = AttemptConnection::default());
    }

    /// Stores the handle by which the transport shows the connection of the attempt.
    pub(super) fn watch_connection(&self, captured: CaptureConnection) {
        self.with_connection(|connection| connection.captured = Some(captured));
    }

    /// Counts the attempt among the requests on its connection, once it has one. `max_body` is the
    /// largest body of its response.
    pub(super) fn count_on_connection(&self, max_body: usize) {
        self.with_connection(|connection| {
            if connection.counted.is_some() {
                return;
            }
            let metadata = connection
                .captured
                .as_ref()
                .map(CaptureConnection::connection_metadata);
            let limit = metadata.as_ref().and_then(|metadata| {
                let mut extras = Extensions::new();
                metadata.as_ref()?.get_extras(&mut extras);
                extras.remove::<ReceiveLimit>()
            });
            // The metadata borrows the connection.
            drop(metadata);
            connection.counted = limit.map(|limit| limit.count_request(max_body));
        });
    }

    /// Records that the attempt ended.
    pub(super) fn record_end(&self) {
        self.0.is_in_flight.store(false, Relaxed);
        self.with_connection(|connection| connection.counted = None);
    }

    /// Clears the caller's flag after an attempt that was throttled or not sent, unless an earlier
    /// attempt or request of the call may have arrived.
    pub(super) fn clear_departure(&self) {
        let departure = self.0.departure.as_ref();
        let departure = departure.filter(|departure| !departure.is_final);
        if let Some(departure) = departure.filter(|_| !self.may_have_arrived()) {
            departure.has_departed.store(false, Relaxed);
        }
    }

    /// Returns whether an attempt is in flight, with or without a connection.
    pub(super) fn is_in_flight(&self) -> bool {
        self.0.is_in_flight.load(Relaxed)
    }

    /// Returns whether an attempt is in flight that may have been sent: false while it certainly
    /// has no connection.
    pub(super) fn may_have_been_sent(&self) -> bool {
        self.is_in_flight() && !self.is_connecting()
    }

    /// Keeps the connection of the attempt from being used for further requests.
    ///
    /// An attempt without a response in time may be on a dead connection, and HTTP/2 would send
    /// every other request on it, too. Requests that are on it already are not affected.
    pub(super) fn poison_connection(&self) {
        self.with_connection(|connection| {
            let captured = connection.captured.as_ref();
            let metadata = captured.map(CaptureConnection::connection_metadata);
            if let Some(connected) = metadata.as_ref().and_then(|metadata| metadata.as_ref()) {
                connected.poison();
            }
        });
    }

    fn is_connecting(&self) -> bool {
        self.with_connection(|connection| {
            let captured = connection.captured.as_ref();
            captured.is_some_and(|captured| captured.connection_metadata().is_none())
        })
    }

    fn with_connection<T>(&self, access: impl FnOnce(&mut AttemptConnection) -> T) -> T {
        // Each access is one assignment, so a panic in another thread leaves no half of one.
        let connection = self.0.connection.lock();
        access(&mut connection.unwrap_or_else(PoisonError::into_inner))
    }

    /// Records that an attempt may have arrived, for as long as the request lives.
    pub(super) fn record_may_have_arrived(&self) {
        self.0.may_have_arrived.store(true, Relaxed);
    }

    pub(super) fn may_have_arrived(&self) -> bool {
        self.0.may_have_arrived.load(Relaxed)
    }
}
