//! A client that always has something to send, a path with weather, and a server, event by event.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use pacing::{Departure, Due, Feedback, Moment, Pacer, Quota};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::servers::Server;

/// How long requests and answers take, each way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) least: Duration,
    pub(crate) jitter: Duration,
    /// How often a way takes `stalled` longer.
    pub(crate) stall: f64,
    pub(crate) stalled: Duration,
    /// When the caller gives up.
    pub(crate) patience: Option<Duration>,
}

impl Weather {
    pub(crate) const CALM: Self = Self {
        least: Duration::ZERO,
        jitter: Duration::ZERO,
        stall: 0.0,
        stalled: Duration::ZERO,
        patience: None,
    };

    fn draw(&self, rng: &mut SmallRng) -> Duration {
        let jitter = self.jitter.mul_f64(rng.random());
        let stalled = if rng.random_bool(self.stall) {
            self.stalled
        } else {
            Duration::ZERO
        };
        self.least + jitter + stalled
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival(usize),
    End(usize),
}

#[derive(Clone, Copy)]
struct Call {
    departure: Departure,
    answered: bool,
    refused: bool,
}

pub(crate) struct Outcome {
    pub(crate) refused: usize,
    /// Departures a second, from the first on.
    pub(crate) rate: f64,
}

pub(crate) struct World {
    pacer: Pacer,
    server: Server,
    weather: Weather,
    /// The server's seconds in one of ours.
    pace: f64,
    rng: SmallRng,
    now: Moment,
    events: BinaryHeap<Reverse<(Moment, Event)>>,
    calls: Vec<Call>,
}

impl World {
    /// `drift` from -1 to 1 is the clocks' difference in 500 ppm.
    pub(crate) fn new(
        quota: Quota,
        weather: Weather,
        server: Server,
        drift: f64,
        seed: u64,
    ) -> Self {
        Self {
            pacer: Pacer::new(quota),
            server,
            weather,
            pace: 1.0 + drift * 500e-6,
            rng: SmallRng::seed_from_u64(seed),
            now: Moment::ORIGIN,
            events: BinaryHeap::new(),
            calls: Vec::new(),
        }
    }

    /// Sends so many requests and waits for all of them to end.
    pub(crate) fn run(mut self, requests: usize) -> Outcome {
        let mut first = None;
        while self.calls.len() < requests {
            match self.pacer.due(self.now) {
                Due::Now => {
                    first.get_or_insert(self.now);
                    self.depart();
                }
                // A timer fires up to a millisecond late and never early.
                Due::At(due) => {
                    let late = Duration::from_nanos(self.rng.random_range(0..1_000_000));
                    self.advance(Some(due + late));
                }
                Due::OnAnswer => self.advance(None),
            }
        }
        let sending = self.now.since(first.unwrap_or_default());
        while !self.events.is_empty() {
            self.advance(None);
        }
        Outcome {
            refused: self.calls.iter().filter(|call| call.refused).count(),
            rate: (requests - 1) as f64 / sending.as_secs_f64(),
        }
    }

    fn depart(&mut self) {
        let number = self.calls.len();
        let (out, back) = (
            self.weather.draw(&mut self.rng),
            self.weather.draw(&mut self.rng),
        );
        let patience = self.weather.patience.unwrap_or(Duration::MAX);
        let end = (out + back).min(patience);
        // What arrives longer than the assumed transit after it was given up never arrives.
        if out.saturating_sub(end) <= Duration::from_secs(1) {
            self.events
                .push(Reverse((self.now + out, Event::Arrival(number))));
        }
        self.events
            .push(Reverse((self.now + end, Event::End(number))));
        self.calls.push(Call {
            departure: self.pacer.depart(self.now),
            answered: out + back <= patience,
            refused: false,
        });
    }

    /// Goes on to the next event, or to `timer` if that comes first.
    fn advance(&mut self, timer: Option<Moment>) {
        let next = self.events.peek().map(|Reverse((at, _))| *at);
        if let Some(timer) = timer
            && next.is_none_or(|next| timer <= next)
        {
            self.now = timer;
            return;
        }
        let Reverse((at, event)) = self.events.pop().expect("a request in flight ends");
        self.now = at;
        match event {
            Event::Arrival(number) => self.arrive(number),
            Event::End(number) => self.end(number),
        }
    }

    fn arrive(&mut self, number: usize) {
        let server_time = Duration::from_nanos(self.now.as_nanos()).mul_f64(self.pace);
        self.calls[number].refused = !self.server.admit(server_time);
    }

    fn end(&mut self, number: usize) {
        let Call {
            departure,
            answered,
            refused,
        } = self.calls[number];
        match (answered, refused) {
            (false, _) => self.pacer.abandon(departure, self.now),
            (true, false) => self.pacer.answer(departure, self.now, Feedback::Accepted),
            (true, true) => self
                .pacer
                .answer(departure, self.now, Feedback::Refused(None)),
        }
    }
}
