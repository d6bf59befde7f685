//! Eight processes that share a quota through a real store, before one server.
//!
//! The test is the server. It records when each request arrives, and the books of each model say
//! afterwards which requests it would have throttled.
//!
//! It is a program of its own: real time is a part of it, and other tests would take the
//! processors.

mod child;
mod fleet;
mod models;
#[expect(dead_code, reason = "the server's own tests use the rest")]
#[path = "../../src/script.rs"]
mod script;
#[path = "../it/server.rs"]
mod server;

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, thread};

use pacing::Quota;

use self::fleet::{Fleet, Outcome};
use crate::script::Value;
use crate::server::Server;

/// The requests that a busy process keeps waiting, and those of one that is busy alone. With fewer,
/// it would run out of them while the machine stops this server.
const BUSY: usize = 8;
const BUSY_ALONE: usize = 32;

/// A request may be this late from the decision of its process to the server: half of the assumed
/// jitter. A machine that stops a process for longer breaks what the limit assumes.
const LATEST: f64 = 0.05;

/// The part of each expected rate that is enough on a machine that stops processes again and again.
/// A process that is stopped for 100 ms loses the departure times of that time.
const LOWERED: f64 = 0.8;

fn quota() -> Quota {
    Quota::per_second(100)
}

/// Returns the requests per second of one process without a store, before it learns the jitter.
fn full_rate() -> f64 {
    quota().spacing().as_secs_f64().recip()
}

/// Returns the system's clock in microseconds. All processes read the same one.
#[expect(
    clippy::disallowed_methods,
    reason = "other processes have no paused time"
)]
fn micros() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(time.as_micros()).unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "other processes have no paused time"
)]
fn pause(time: Duration) {
    thread::sleep(time);
}

/// What happens while the processes send.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The store writes its data to disk.
    Save,
    Kill,
    Restart,
    /// The store does nothing until it continues, and keeps its connections.
    Stop,
    Continue,
    /// The server throttles the next request.
    Throttle,
    /// The store counts its calls from now on.
    CountCalls,
}

/// Processes, what happens to them, and what is expected. Times are in seconds since the start; the
/// first request departs after one, since the store knows nothing of the quota.
struct Scenario {
    name: &'static str,
    /// The requests that each process keeps waiting.
    waiting: [usize; 8],
    seconds: f64,
    events: &'static [(f64, Event)],
    /// From when to when the rate is at least this part of the full rate.
    rates: Vec<(f64, f64, f64)>,
    /// The longest time without a request.
    silence: f64,
    /// Fails with what is wrong beyond that.
    check: fn(&Outcome, f64) -> Result<(), String>,
}

fn ensure(is_true: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    match is_true {
        true => Ok(()),
        false => Err(text()),
    }
}

impl Scenario {
    /// Runs the scenario. It runs once more if it fails and the machine stopped a process for too
    /// long: then departure times are lost, and requests may come too late. If that happens again,
    /// a lower rate is enough.
    fn run(&self) {
        for (is_last, lowered) in [(false, 1.0), (true, LOWERED)] {
            let Some(outcome) = self.outcome() else {
                return;
            };
            let stall = outcome.stall();
            let is_stalled = stall > LATEST;
            let part = if is_stalled { lowered } else { 1.0 };
            let Err(problem) = self.verify(&outcome, part) else {
                return;
            };
            assert!(!is_last && is_stalled, "{}: {problem}", self.name);
            println!(
                "{}: {problem}; the machine stopped a process for {:.0} ms, so once more",
                self.name,
                stall * 1e3
            );
        }
    }

    /// Returns none without a store.
    fn outcome(&self) -> Option<Outcome> {
        let mut store = Server::start()?;
        let mut fleet = Fleet::start(&store, &self.waiting);
        for &(at, event) in self.events {
            fleet.wait_until(at);
            match event {
                Event::Save => drop(store.client().call(&["SAVE"])),
                Event::Kill => store.kill(),
                Event::Restart => store.restart(),
                Event::Stop => store.signal("STOP"),
                Event::Continue => store.signal("CONT"),
                Event::Throttle => fleet.throttle_one(),
                Event::CountCalls => drop(store.client().call(&["CONFIG", "RESETSTAT"])),
            }
        }
        fleet.wait_until(self.seconds);
        let is_counted = |&(_, event): &(f64, Event)| matches!(event, Event::CountCalls);
        // Before the end, at which each process has fewer requests that wait.
        let calls = self.events.iter().any(is_counted).then(|| calls_of(&store));
        let mut outcome = fleet.stop();
        outcome.calls = calls;
        Some(outcome)
    }

    fn verify(&self, outcome: &Outcome, lowered: f64) -> Result<(), String> {
        let rates: Vec<f64> = self
            .rates
            .iter()
            .map(|&(from, to, _)| outcome.rate(from, to))
            .collect();
        println!(
            "{}: {} requests, {rates:.1?} per second, silence {:.2} s, stall {:.0} ms, \
             {:.1} store calls per second of one, shares {:?}",
            self.name,
            outcome.arrivals.len(),
            outcome.silence(),
            outcome.stall() * 1e3,
            outcome.most_calls(2.0, self.seconds),
            outcome.shares(2.0, self.seconds),
        );
        let throttled = outcome.throttled();
        ensure(throttled.is_empty(), || format!("throttled: {throttled:?}"))?;
        let arrived = outcome.shares(0.0, f64::INFINITY);
        let answered: Vec<u64> = arrived.into_iter().map(u64::from).collect();
        ensure(answered == outcome.answered, || {
            format!("{answered:?} arrived, {:?} answered", outcome.answered)
        })?;
        for (&(from, to, part), rate) in self.rates.iter().zip(rates) {
            ensure(rate >= lowered * part * full_rate(), || {
                format!("{rate:.1} requests per second from {from} s to {to} s")
            })?;
        }
        let silence = outcome.silence();
        ensure(silence <= self.silence, || {
            format!("no request for {silence:.2} s")
        })?;
        (self.check)(outcome, self.seconds)
    }
}

/// Returns the number of times that the store has run the script.
fn calls_of(store: &Server) -> u64 {
    let Value::Text(text) = store.client().call(&["INFO", "commandstats"]) else {
        panic!("the store has no statistics");
    };
    let counts = text.lines().filter_map(|line| {
        let (command, rest) = line.split_once(":calls=")?;
        let (calls, _) = rest.split_once(',')?;
        matches!(command, "cmdstat_eval" | "cmdstat_evalsha").then(|| calls.parse::<u64>().unwrap())
    });
    counts.sum()
}

/// Each process has an equal share, and calls the store 20 times a second at most.
fn is_fair(outcome: &Outcome, seconds: f64) -> Result<(), String> {
    let shares = outcome.shares(2.0, seconds);
    let mean = f64::from(shares.iter().sum::<u32>()) / 8.0;
    let is_equal = |&share: &u32| (f64::from(share) / mean - 1.0).abs() <= 0.15;
    ensure(shares.iter().all(is_equal), || format!("shares {shares:?}"))?;
    let most = outcome.most_calls(2.0, seconds);
    let mean = outcome.calls.expect("they are counted") as f64 / 8.0 / (seconds - 2.0);
    println!("by the store's count, each process made {mean:.1} calls per second");
    ensure(most.max(mean) <= 20.0, || {
        format!("{most:.1} store calls per second of one, and {mean:.1} of each on average")
    })
}

/// A throttled request stops all processes within 100 ms, for a second.
fn closes_the_gate_of_all(outcome: &Outcome, seconds: f64) -> Result<(), String> {
    let throttled = outcome.arrivals.iter().find(|arrival| arrival.is_throttled);
    let at = throttled.expect("one is throttled").at;
    let since = |from, to| {
        outcome
            .between(at + from, at + to)
            .map(|arrival| arrival.at - at)
    };
    let last = since(0.0, 0.5).last();
    let next = since(0.5, seconds).next();
    println!("after a throttled request the last came {last:.3?} s later, the next {next:.3?} s");
    let late: Vec<f64> = since(0.1, 1.0).collect();
    ensure(late.is_empty(), || {
        format!("requests {late:.3?} s after a throttled one")
    })
}

fn nothing_more(_: &Outcome, _: f64) -> Result<(), String> {
    Ok(())
}

/// Returns the scenario on which the others rest.
fn busy() -> Scenario {
    Scenario {
        name: "eight busy processes",
        waiting: [BUSY; 8],
        seconds: 8.0,
        events: &[],
        rates: Vec::new(),
        // A window, the time that a process waits for a reply, and the horizon.
        silence: 1.0 + 0.25 + 0.05,
        check: nothing_more,
    }
}

/// Returns the scenarios of different loads. More seconds show more of the shares.
fn loads(seconds: f64) -> [Scenario; 2] {
    [
        Scenario {
            seconds: seconds + 2.0,
            events: &[(2.0, Event::CountCalls)],
            rates: vec![(2.0, seconds + 2.0, 0.9)],
            check: is_fair,
            ..busy()
        },
        Scenario {
            name: "one busy process and seven idle ones",
            waiting: [BUSY_ALONE, 0, 0, 0, 0, 0, 0, 0],
            seconds: seconds + 2.0,
            rates: vec![(2.0, seconds + 2.0, 0.95)],
            ..busy()
        },
    ]
}

/// Returns the scenarios in which something happens to the store or the server. Two seconds later
/// the rate is that of the state after it.
fn faults() -> [Scenario; 5] {
    use Event::{Continue, Kill, Restart, Save, Stop, Throttle};
    [
        Scenario {
            name: "the store is killed for good",
            events: &[(3.0, Kill)],
            rates: vec![(5.0, 8.0, 0.8)],
            ..busy()
        },
        Scenario {
            name: "the store stops for five seconds",
            seconds: 12.0,
            events: &[(3.0, Stop), (8.0, Continue)],
            rates: vec![(5.0, 8.0, 0.8), (10.0, 12.0, 0.9)],
            ..busy()
        },
        Scenario {
            name: "the store restarts without data",
            seconds: 9.0,
            events: &[(3.0, Kill), (5.0, Restart)],
            rates: vec![(7.0, 9.0, 0.9)],
            ..busy()
        },
        Scenario {
            name: "the store restarts with an old snapshot",
            seconds: 9.0,
            events: &[(3.0, Save), (5.0, Kill), (5.0, Restart)],
            rates: vec![(7.0, 9.0, 0.9)],
            ..busy()
        },
        Scenario {
            // The rate climbs back from four fifths.
            name: "the server throttles one request",
            events: &[(3.0, Throttle)],
            rates: vec![(4.5, 8.0, 0.7)],
            check: closes_the_gate_of_all,
            ..busy()
        },
    ]
}

#[test]
fn processes_share_a_quota_whatever_happens_to_their_store() {
    let seconds = env::var("PROCESSES_SECONDS").map_or(8.0, |text| text.parse().unwrap());
    thread::scope(|scope| {
        for scenario in loads(seconds).into_iter().chain(faults()) {
            thread::Builder::new()
                .name(scenario.name.into())
                .spawn_scoped(scope, move || scenario.run())
                .unwrap();
        }
    });
}
