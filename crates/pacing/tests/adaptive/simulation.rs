//! A simulation, event by event: clients that always reach their limits, and a server.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use pacing::{AdaptiveLimit, Answer, Moment, Sample};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::record::Record;
use crate::server::{Behavior, Reply, Server};

/// A concurrency limit, adaptive or fixed.
pub(crate) trait Limit {
    fn limit(&self) -> usize;
    fn depart(&mut self, now: Moment, in_flight: usize) -> Sample;
    /// Records an answer, or none if the caller timed out.
    fn end(&mut self, sample: Sample, now: Moment, answer: Option<Answer>);
}

/// A limit that never changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed(pub(crate) usize);

impl Limit for Fixed {
    fn limit(&self) -> usize {
        self.0
    }

    fn depart(&mut self, _: Moment, _: usize) -> Sample {
        Sample::default()
    }

    fn end(&mut self, _: Sample, _: Moment, _: Option<Answer>) {}
}

impl Limit for AdaptiveLimit {
    fn limit(&self) -> usize {
        self.limit()
    }

    fn depart(&mut self, now: Moment, in_flight: usize) -> Sample {
        self.depart(now, in_flight)
    }

    fn end(&mut self, sample: Sample, now: Moment, answer: Option<Answer>) {
        match answer {
            Some(answer) => self.answer(sample, now, answer),
            None => self.cancel(sample),
        }
    }
}

/// When callers time out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum CallerTimeout {
    Never,
    /// After these seconds.
    Seconds(f64),
    /// This share of the callers, at a random time before the answer.
    Share(f64),
}

#[derive(Clone, Copy, Debug)]
struct Call {
    client: usize,
    sample: Sample,
    departed: Moment,
    answer: Option<Answer>,
}

/// A client. Each of its callers sends its next request when the last one has ended.
#[derive(Debug)]
pub(crate) struct Client<L> {
    pub(crate) limit: L,
    pub(crate) record: Record,
    /// The number of callers, which bounds the requests in flight too.
    pub(crate) callers: usize,
    /// The number of requests that are left to send.
    pub(crate) left: u64,
    in_flight: usize,
}

#[derive(Debug)]
pub(crate) struct Simulation<L> {
    pub(crate) behavior: Behavior,
    pub(crate) timeout: CallerTimeout,
    pub(crate) clients: Vec<Client<L>>,
    now: Moment,
    server: Server,
    rng: SmallRng,
    /// The end of each call, with its index.
    events: BinaryHeap<Reverse<(Moment, usize)>>,
    calls: Vec<Call>,
    /// The free indices of `calls`.
    free: Vec<usize>,
}

impl<L: Limit> Simulation<L> {
    pub(crate) fn new(behavior: Behavior, seed: u64) -> Self {
        Self {
            behavior,
            timeout: CallerTimeout::Never,
            clients: Vec::new(),
            now: Moment::ORIGIN,
            server: Server::default(),
            rng: SmallRng::seed_from_u64(seed),
            events: BinaryHeap::new(),
            calls: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Adds a client that always has more to send.
    pub(crate) fn join(&mut self, limit: L) {
        self.clients.push(Client {
            limit,
            record: Record::default(),
            callers: usize::MAX,
            left: u64::MAX,
            in_flight: 0,
        });
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.now.as_nanos() as f64 / 1e9
    }

    /// Runs for these seconds.
    pub(crate) fn run(&mut self, seconds: f64) {
        let until = self.now + Duration::from_secs_f64(seconds);
        self.send();
        while let Some(&Reverse((at, call))) = self.events.peek()
            && at <= until
        {
            self.events.pop();
            self.advance(at);
            self.end(call);
            self.send();
        }
        self.advance(until);
    }

    /// Runs until nothing is left to send and all requests have ended.
    pub(crate) fn finish(&mut self) {
        self.send();
        while let Some(Reverse((at, call))) = self.events.pop() {
            self.advance(at);
            self.end(call);
            self.send();
        }
    }

    fn advance(&mut self, to: Moment) {
        let seconds = to.since(self.now).as_secs_f64();
        for client in &mut self.clients {
            client.record.pass(self.now, seconds, client.in_flight);
        }
        self.now = to;
    }

    fn send(&mut self) {
        for client in 0..self.clients.len() {
            while self.clients[client].may_send() {
                self.depart(client);
            }
        }
    }

    fn depart(&mut self, number: usize) {
        let client = &mut self.clients[number];
        client.in_flight += 1;
        client.left -= 1;
        let sample = client.limit.depart(self.now, client.in_flight);
        let (reply, end) = self.server.take(self.now, &self.behavior, &mut self.rng);
        let answer = match reply {
            Reply::Served => Some(Answer::Served),
            Reply::Overloaded => Some(Answer::Overloaded),
            Reply::Throttled => Some(Answer::Silent),
            Reply::Nothing => None,
        };
        let given_up = match self.timeout {
            CallerTimeout::Never => end,
            CallerTimeout::Seconds(seconds) => self.now + Duration::from_secs_f64(seconds),
            CallerTimeout::Share(share) if self.rng.random::<f64>() < share => {
                self.now + end.since(self.now).mul_f64(self.rng.random())
            }
            CallerTimeout::Share(_) => end,
        };
        let call = Call {
            client: number,
            sample,
            departed: self.now,
            answer: answer.filter(|_| end <= given_up),
        };
        let place = match self.free.pop() {
            Some(place) => {
                self.calls[place] = call;
                place
            }
            None => {
                self.calls.push(call);
                self.calls.len() - 1
            }
        };
        self.events.push(Reverse((end.min(given_up), place)));
    }

    fn end(&mut self, place: usize) {
        let call = self.calls[place];
        self.free.push(place);
        let client = &mut self.clients[call.client];
        client.in_flight -= 1;
        client.limit.end(call.sample, self.now, call.answer);
        let latency = self.now.since(call.departed).as_secs_f64();
        client.record.end(self.now, latency, call.answer);
    }
}

impl<L: Limit> Client<L> {
    fn may_send(&self) -> bool {
        self.left > 0 && self.in_flight < self.limit.limit().min(self.callers)
    }
}
