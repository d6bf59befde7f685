use std::time::Duration;

/// One request that reached the counter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arrival {
    /// When it reached the counter, since the simulator's start.
    pub at: Duration,
    /// The method.
    pub method: String,
    /// The path as it was sent.
    pub path: String,
    /// The status of the response. `None` if the connection was dropped.
    pub status: Option<u16>,
}

/// The first arrivals, up to a bound.
#[derive(Debug)]
pub(crate) struct ArrivalLog {
    capacity: usize,
    arrivals: Vec<Arrival>,
}

impl ArrivalLog {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            arrivals: Vec::new(),
        }
    }

    /// Records an arrival unless the log is full. `arrival` is only called if it is not.
    pub(crate) fn record(&mut self, arrival: impl FnOnce() -> Arrival) {
        if self.arrivals.len() < self.capacity {
            self.arrivals.push(arrival());
        }
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.clone()
    }
}
