//! The simulation of Amazon's "Exponential backoff and jitter": clients compete for one row under
//! optimistic concurrency control. A write succeeds only if no other client has written since its
//! read.
//!
//! It follows <https://github.com/aws-samples/aws-arch-backoff-simulator>, with its numbers: a
//! network of 10 ms with a standard deviation of 2 ms, a base of 5 ms and a cap of 2 s.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use pacing::retry::Backoff;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const RUNS: u32 = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Message {
    Read,
    ReadAnswer { version: u32 },
    Write { version: u32 },
    WriteAnswer { won: bool },
}

/// One run, from the start of all clients to the end of the last.
struct Simulation {
    /// The arrival of each message in nanoseconds, with the client and the number of its attempt.
    messages: BinaryHeap<Reverse<(u64, u32, u32, Message)>>,
    version: u32,
    calls: u32,
    rng: StdRng,
}

impl Simulation {
    fn new(clients: u32, seed: u64) -> Self {
        let mut simulation = Self {
            messages: BinaryHeap::new(),
            version: 0,
            calls: 0,
            rng: StdRng::seed_from_u64(seed),
        };
        for client in 0..clients {
            simulation.send(Duration::ZERO, client, 0, Message::Read);
        }
        simulation
    }

    fn send(&mut self, at: Duration, client: u32, attempt: u32, message: Message) {
        let arrival = at + self.transit();
        let nanos = u64::try_from(arrival.as_nanos()).unwrap();
        self.messages
            .push(Reverse((nanos, client, attempt, message)));
    }

    /// Draws from a normal distribution of 10 ms and 2 ms, by the method of Box and Muller.
    fn transit(&mut self) -> Duration {
        let (u, v): (f64, f64) = (self.rng.random(), self.rng.random());
        let deviate = (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        Duration::from_secs_f64((0.010 + 0.002 * deviate).abs())
    }

    /// Runs to the end and returns how long it took.
    fn run(&mut self, backoff: &Backoff) -> Duration {
        let mut now = Duration::ZERO;
        while let Some(Reverse((nanos, client, attempt, message))) = self.messages.pop() {
            now = Duration::from_nanos(nanos);
            match message {
                Message::Read => {
                    let version = self.version;
                    self.send(now, client, attempt, Message::ReadAnswer { version });
                }
                Message::ReadAnswer { version } => {
                    self.send(now, client, attempt, Message::Write { version });
                }
                Message::Write { version } => {
                    let won = version == self.version;
                    self.version += u32::from(won);
                    self.calls += 1;
                    self.send(now, client, attempt, Message::WriteAnswer { won });
                }
                Message::WriteAnswer { won: true } => {}
                Message::WriteAnswer { won: false } => {
                    let again = now + backoff.delay(attempt + 1, &mut self.rng);
                    self.send(again, client, attempt + 1, Message::Read);
                }
            }
        }
        now
    }
}

/// Returns the mean completion time in milliseconds, and the mean number of calls.
fn averages(clients: u32) -> (f64, f64) {
    let backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(2));
    let (mut time, mut calls) = (Duration::ZERO, 0);
    for run in 0..RUNS {
        let mut simulation = Simulation::new(clients, u64::from(run));
        time += simulation.run(&backoff);
        calls += simulation.calls;
    }
    let runs = f64::from(RUNS);
    (time.as_secs_f64() * 1e3 / runs, f64::from(calls) / runs)
}

#[test]
fn full_jitter_needs_the_calls_and_the_time_of_the_published_simulation() {
    fn check(clients: u32, time: f64, calls: f64) {
        let (our_time, our_calls) = averages(clients);
        let within = |ours: f64, theirs: f64| (ours / theirs - 1.0).abs() <= 0.1;
        assert!(
            within(our_time, time) && within(our_calls, calls),
            "{clients} clients: {our_time:.0} ms and {our_calls:.0} calls, \
             {time} ms and {calls} calls published"
        );
    }
    check(10, 466.0, 39.0);
    check(50, 2_836.0, 331.0);
    check(100, 4_859.0, 795.0);
    check(190, 7_460.0, 1_775.0);
}
