//! The requests of a client, in slices of a hundredth of a second.

use pacing::{Answer, Moment};

const SLICE: u64 = 10_000_000;

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    served: u32,
    failed: u32,
    /// The sum of the latencies of served requests, in seconds.
    latency: f64,
    /// The integral of the requests in flight over time, in seconds.
    in_flight: f64,
}

#[derive(Debug, Default)]
pub(crate) struct Record {
    slices: Vec<Slice>,
}

/// The sums of some slices.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    /// Requests served a second.
    pub(crate) throughput: f64,
    /// Their mean latency, in seconds.
    pub(crate) latency: f64,
    /// The share of failures in the answers.
    pub(crate) failures: f64,
    /// The mean number in flight.
    pub(crate) in_flight: f64,
}

impl Record {
    pub(crate) fn end(&mut self, now: Moment, latency: f64, answer: Option<Answer>) {
        let slice = self.slice(now);
        match answer {
            Some(Answer::Served) => {
                slice.served += 1;
                slice.latency += latency;
            }
            Some(Answer::Overloaded) => slice.failed += 1,
            Some(Answer::Silent) | None => {}
        }
    }

    pub(crate) fn pass(&mut self, from: Moment, seconds: f64, in_flight: usize) {
        self.slice(from).in_flight += in_flight as f64 * seconds;
    }

    fn slice(&mut self, at: Moment) -> &mut Slice {
        let index = slice(at.as_nanos() as f64 / 1e9);
        if index >= self.slices.len() {
            self.slices.resize(index + 1, Slice::default());
        }
        &mut self.slices[index]
    }

    /// Sums up what happened between two times, in seconds.
    pub(crate) fn between(&self, from: f64, to: f64) -> Sum {
        let end = slice(to).min(self.slices.len());
        let part = &self.slices[slice(from).min(end)..end];
        let (mut served, mut failed, mut latency, mut in_flight) = (0, 0, 0.0, 0.0);
        for slice in part {
            served += slice.served;
            failed += slice.failed;
            latency += slice.latency;
            in_flight += slice.in_flight;
        }
        let (served, failed) = (f64::from(served), f64::from(failed));
        Sum {
            throughput: served / (to - from),
            latency: latency / served,
            failures: failed / (served + failed).max(1.0),
            in_flight: in_flight / (to - from),
        }
    }
}

fn slice(seconds: f64) -> usize {
    (seconds * 1e9 / SLICE as f64) as usize
}
