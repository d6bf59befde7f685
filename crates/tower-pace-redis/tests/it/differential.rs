//! The script and `Record::apply` give equal replies to any calls.

use std::collections::BTreeMap;

use pacing::shared::{Call, Record, Reply, SharedLimit, SharedQuota, Throttled};
use pacing::{Cost, Model, Quota};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::script::{self, Value};
use crate::server::{Client, Server};

/// The sequences that are made at the same time, each with quotas of its own.
const TOGETHER: u64 = 50;
/// The calls of one sequence for each quota, at most.
const CALLS: usize = 25;
/// The longest time in a call: pacing's own bound.
const LONGEST: i64 = 9_000_000_000_000;

#[test]
fn the_script_and_the_record_give_equal_replies() {
    let Some(server) = Server::start() else {
        return;
    };
    let sequences = std::env::var("SCRIPT_SEQUENCES").map_or(2_000, |text| text.parse().unwrap());
    let mut client = server.client();
    let hash = load_with_clock_as_argument(&mut client);
    let mut counts = BTreeMap::new();
    for first in (0..sequences).step_by(TOGETHER as usize) {
        let mut worlds: Vec<_> = (first..first + TOGETHER).map(World::new).collect();
        for step in 0..CALLS {
            for world in &mut worlds {
                world.disturb(&mut client);
                world.send(&hash, &mut client);
            }
            for world in &mut worlds {
                let reply = client.receive().unwrap();
                world.compare(reply, step, &mut counts);
            }
        }
    }
    println!("{counts:?}");
    // Sequences that never reach a rule would show nothing about it.
    for (what, count) in counts {
        assert!(count as u64 > sequences / 10, "{what}: {count}");
    }
}

/// Loads the script with the last argument in the place of the clock, and returns its hash.
fn load_with_clock_as_argument(client: &mut Client) -> String {
    let (clock, rest) = script::SCRIPT.split_once('\n').unwrap();
    assert!(
        clock.starts_with("local now = ") && clock.contains("TIME"),
        "{clock}"
    );
    assert!(!rest.contains("TIME'"), "the clock is read in one line");
    let script = format!("local now = tonumber(table.remove(ARGV))\n{rest}");
    match client.call(&["SCRIPT", "LOAD", &script]) {
        Value::Text(hash) if hash.len() == 40 => hash,
        other => panic!("{other:?}"),
    }
}

/// Some quotas, the processes that share them, and a clock.
struct World {
    seed: u64,
    now: i64,
    names: Vec<String>,
    records: Vec<Record>,
    quotas: Vec<Vec<Quota>>,
    processes: Vec<u64>,
    /// The latest departure time that was handed out, for each quota.
    latest: Vec<i64>,
    /// Times at which a rule changes what it says, since something ends there.
    ends: Vec<i64>,
    /// The calls of this step, with the index of their quota.
    calls: Vec<(usize, Call)>,
    rng: SmallRng,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let count = rng.random_range(1..=3);
        let processes = rng.random_range(1..=5);
        Self {
            seed,
            now: 1_750_000_000_000_000 + rng.random_range(0..1_000_000_000),
            names: (0..count).map(|index| format!("{seed} {index}")).collect(),
            records: vec![Record::new(); count],
            quotas: (0..count).map(|_| quotas(&mut rng)).collect(),
            processes: (0..processes).map(|_| rng.random()).collect(),
            latest: vec![0; count],
            ends: vec![1_750_000_000_000_000],
            calls: Vec::new(),
            rng,
        }
    }

    /// Moves the clock, and lets quotas expire or be lost.
    fn disturb(&mut self, client: &mut Client) {
        let rng = &mut self.rng;
        self.now += match rng.random_range(0..100) {
            0..60 => rng.random_range(0..100_000),
            60..85 => rng.random_range(0..2_000_000),
            85..93 => rng.random_range(0..100_000_000),
            93..95 => rng.random_range(0..4_000_000_000_000),
            95..98 => -rng.random_range(0..3_000_000),
            98..99 => -rng.random_range(0..1_000_000_000_000),
            _ => 0,
        };
        // Exactly at an end, and just before or after it.
        let end = *self.ends.choose(rng).unwrap();
        if rng.random_bool(0.2) {
            self.now = end + [-1, 0, 0, 0, 1].choose(rng).unwrap();
        }
        let index = rng.random_range(0..self.names.len());
        let keys = script::keys("t", &self.names[index]);
        let [record, running, busy, known] = keys.each_ref().map(String::as_str);
        match rng.random_range(0..100) {
            0..4 => {
                // A pipeline may hold replies of other sequences, so this one's are read at its
                // end.
                send_ignored(client, &["DEL", record, running, busy]);
                self.records[index].expire();
            }
            4..6 => {
                send_ignored(client, &["DEL", record, running, busy, known]);
                self.records[index] = Record::new();
            }
            _ => {}
        }
    }

    /// Makes a call for some of the quotas.
    fn send(&mut self, hash: &str, client: &mut Client) {
        self.calls.clear();
        for index in 0..self.names.len() {
            if self.names.len() == 1 || self.rng.random_bool(0.6) {
                let call = self.call(index);
                self.calls.push((index, call));
            }
        }
        let mut keys = Vec::new();
        let mut arguments = Vec::new();
        for (index, call) in &self.calls {
            keys.extend(script::keys("t", &self.names[*index]));
            script::push_arguments(call, &mut arguments);
        }
        let mut command = vec!["EVALSHA".into(), hash.into(), keys.len().to_string()];
        command.extend(keys);
        command.extend(arguments);
        command.push(self.now.to_string());
        client.send(&command).unwrap();
    }

    fn call(&mut self, index: usize) -> Call {
        let (now, latest) = (self.now, self.latest[index]);
        let rng = &mut self.rng;
        let cost = match rng.random_range(0..20) {
            0..14 => 1,
            14..17 => rng.random_range(1..10),
            17..19 => rng.random_range(1..200),
            _ => rng.random(),
        };
        let highest = match rng.random_range(0..4) {
            0 => cost,
            1 => rng.random_range(1..100),
            _ => 200.max(cost),
        };
        let quota = match rng.random_range(0..20) {
            0 => extreme(highest, rng),
            _ => {
                let quota = self.quotas[index].choose(rng).unwrap();
                SharedQuota::new(quota, Cost::clamped(highest.into()))
            }
        };
        let ends = &self.ends;
        let past = |most, rng: &mut SmallRng| match rng.random_bool(0.5) {
            true => now - rng.random_range(0..most),
            false => *ends.choose(rng).unwrap(),
        };
        Call {
            process: *self.processes.choose(rng).unwrap(),
            count: match rng.random_range(0..10) {
                0 => 0,
                1..8 => rng.random_range(1..5),
                8 => rng.random_range(1..40),
                _ => rng.random_range(1..=1_000),
            },
            cost,
            latest: match rng.random_range(0..20) {
                0..8 => 0,
                8..18 => latest,
                18 => now + rng.random_range(-100_000..100_000),
                _ => now + rng.random_range(0..100_000_000),
            },
            is_away: rng.random_bool(0.1),
            throttled: rng.random_bool(0.04).then(|| Throttled {
                sent: past(500_000, rng),
                retry_after: match rng.random_range(0..16) {
                    0..4 => rng.random_range(0..5_000_000),
                    4 => rng.random_range(0..=LONGEST),
                    _ => 0,
                },
            }),
            accepted: match rng.random_bool(0.5) {
                true => past(1_000_000, rng),
                false => 0,
            },
            quota,
        }
    }

    /// Compares the script's replies to the calls of this step with those of the records.
    #[track_caller]
    fn compare(&mut self, value: Value, step: usize, counts: &mut BTreeMap<&'static str, usize>) {
        let place = format!("sequence {}, step {step}", self.seed);
        let replies = script::replies_from(value, self.calls.len());
        let replies = replies.unwrap_or_else(|failure| panic!("{place}: {failure:?}"));
        for ((index, call), reply) in self.calls.iter().zip(replies) {
            let reply = reply.unwrap_or_else(|failure| panic!("{place}: {failure:?} to {call:?}"));
            let record = &mut self.records[*index];
            let before = record.clone();
            let expected = record.apply(call, self.now);
            assert_eq!(reply, expected, "{place}: {call:#?} to {before:#?}");
            self.latest[*index] = reply.departures.last().copied().unwrap_or(0);
            count(&reply, call, counts);
            let now = self.now;
            let memory = call.quota.limits.iter().map(|limit| limit.memory).max();
            let window = call.quota.shortest_window;
            self.ends.extend([
                now,
                now + 750_000,
                now + 1_500_000,
                now + 30_000_000,
                now + 60_000_000,
                now + 2 * memory.unwrap_or_default(),
                now + 2 * reply.wait.max(0) + 1_000_000,
                now + 200_000,
                reply.open_from,
                reply.open_from + 5 * window,
                reply.open_from + 31 * window.max(1_000_000),
            ]);
            // Without those of a gate that was never closed.
            self.ends.retain(|&end| end > 1_700_000_000_000_000);
            let old = self.ends.len().saturating_sub(30);
            self.ends.drain(..old);
        }
    }
}

/// Makes a call whose reply is not of interest, without waiting for it: `CLIENT REPLY SKIP` takes
/// the reply to the next one away.
fn send_ignored(client: &mut Client, command: &[&str]) {
    client.send(&["CLIENT", "REPLY", "SKIP"]).unwrap();
    client.send(command).unwrap();
}

/// Counts what a reply shows.
fn count(reply: &Reply, call: &Call, counts: &mut BTreeMap<&'static str, usize>) {
    for (what, is_shown) in [
        ("departures", !reply.departures.is_empty()),
        ("several departures", reply.departures.len() > 2),
        ("a wait", reply.wait > 0),
        (
            "fewer than asked for",
            !reply.departures.is_empty() && reply.departures.len() < call.count as usize,
        ),
        ("a closed gate", reply.open_from > reply.now),
        ("a higher cost", reply.highest > call.quota.highest),
        ("a slower quota", reply.is_slower),
        ("a start", reply.start > 0),
        ("four processes", reply.processes > 3),
    ] {
        *counts.entry(what).or_default() += usize::from(is_shown);
    }
}

/// Returns the quotas that processes state under one name: mostly one.
fn quotas(rng: &mut SmallRng) -> Vec<Quota> {
    let count = if rng.random_bool(0.7) { 1 } else { 2 };
    (0..count).map(|_| quota(rng)).collect()
}

fn quota(rng: &mut SmallRng) -> Quota {
    let limit = *[1, 3, 10, 100, 1_000, 20_000].choose(rng).unwrap();
    let quota = Quota::per_second(limit);
    let quota = match rng.random_range(0..4) {
        0 => quota.model(Model::SlidingLog).unwrap_or(quota),
        1 => quota
            .model(Model::TokenBucket {
                size: limit,
                refill: limit,
            })
            .unwrap_or(quota),
        _ => quota,
    };
    let quota = match rng.random_bool(0.4) {
        true => quota.burst(rng.random_range(1..=50)).unwrap_or(quota),
        false => quota,
    };
    let quota = match rng.random_range(0..5) {
        0 => quota
            .and(Quota::per_minute(limit * 30).by_request())
            .unwrap_or(quota),
        1 => quota.and(Quota::per_hour(limit * 1_000)).unwrap_or(quota),
        2 => quota
            .and(Quota::per_minute(limit * 30))
            .and_then(|quota| quota.and(Quota::per_hour(limit * 900)))
            .unwrap_or(quota),
        _ => quota,
    };
    match rng.random_bool(0.1) {
        true => quota.unused_at_start(),
        false => quota,
    }
}

/// Returns a quota that no `Quota` has, with the largest numbers.
fn extreme(highest: u32, rng: &mut SmallRng) -> SharedQuota {
    let mut time = || {
        let most = 10_i64.pow(rng.random_range(0..13)) * 9;
        rng.random_range(1..=most.min(LONGEST))
    };
    let limits: Vec<_> = (0..4)
        .map(|index| SharedLimit {
            interval: time(),
            slack: time(),
            memory: time(),
            window: time(),
            by_request: index == 1,
        })
        .collect();
    SharedQuota {
        highest,
        pause: time(),
        longest_pause: time(),
        shortest_window: time(),
        unused_at_start: false,
        limits,
    }
}
