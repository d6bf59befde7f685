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
    /// The status answered; none where the connection was dropped.
    pub status: Option<u16>,
}

/// The first arrivals, up to a bound.
#[derive(Debug)]
pub(crate) struct Trace {
    most: usize,
    arrivals: Vec<Arrival>,
}

impl Trace {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            arrivals: Vec::new(),
        }
    }

    /// Keeps `arrival` unless the trace is full.
    pub(crate) fn record(&mut self, arrival: impl FnOnce() -> Arrival) {
        if self.arrivals.len() < self.most {
            self.arrivals.push(arrival());
        }
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.clone()
    }
}
