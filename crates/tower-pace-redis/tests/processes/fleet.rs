//! The processes of a test, and the server to which they send. It answers each request and records
//! when it came.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::models::Model;
use super::{child, micros, pause};
use crate::server::Server;

/// A process has to start in this time.
const LONGEST_START: u64 = 20_000_000;

/// The requests that wait at the end are answered in this time: 64 take less than a second, and the
/// rest is for a busy machine.
const LONGEST_END: u64 = 10_000_000;

/// One fleet starts at a time. Together, their processes would delay each other's round trips.
static START: Mutex<()> = Mutex::new(());

/// The seconds between two looks at how late the machine wakes this program.
const LOOK: f64 = 0.01;

/// A request that came to the server. Times are in seconds since the start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) at: f64,
    pub(super) process: usize,
    /// The time since the process decided that it departs.
    pub(super) delay: f64,
    /// The store calls of the process until then.
    pub(super) calls: u64,
    pub(super) is_throttled: bool,
}

/// What happened to the requests of all processes.
#[derive(Debug)]
pub(super) struct Outcome {
    /// In order of their times.
    pub(super) arrivals: Vec<Arrival>,
    /// The number of requests of each process whose caller got the response.
    pub(super) answered: Vec<u64>,
    /// The number of calls by the count of the store, if it was asked.
    pub(super) calls: Option<u64>,
    /// The longest time for which the machine let a thread of this program wait.
    stall: f64,
}

impl Outcome {
    pub(super) fn between(&self, from: f64, to: f64) -> impl Iterator<Item = &Arrival> {
        let is_between = move |arrival: &&Arrival| (from..to).contains(&arrival.at);
        self.arrivals.iter().filter(is_between)
    }

    /// Returns the requests per second.
    pub(super) fn rate(&self, from: f64, to: f64) -> f64 {
        self.between(from, to).count() as f64 / (to - from)
    }

    /// Returns the number of requests of each process.
    pub(super) fn shares(&self, from: f64, to: f64) -> Vec<u32> {
        let mut shares = vec![0; self.answered.len()];
        for arrival in self.between(from, to) {
            shares[arrival.process] += 1;
        }
        shares
    }

    /// Returns the most calls of a process to the store, per second.
    pub(super) fn most_calls(&self, from: f64, to: f64) -> f64 {
        let calls = |process| {
            let calls = self
                .between(from, to)
                .filter(move |arrival| arrival.process == process);
            let mut calls = calls.map(|arrival| arrival.calls);
            let first = calls.next().unwrap_or_default();
            calls.last().unwrap_or(first) - first
        };
        let most = (0..self.answered.len()).map(calls).max();
        most.unwrap_or_default() as f64 / (to - from)
    }

    /// Returns the longest time without a request.
    pub(super) fn silence(&self) -> f64 {
        let pairs = self.arrivals.windows(2);
        pairs
            .map(|pair| pair[1].at - pair[0].at)
            .fold(0.0, f64::max)
    }

    /// Returns the longest time for which the machine stopped a process: this one, or another
    /// between its decision that a request departs and the arrival.
    pub(super) fn stall(&self) -> f64 {
        let delays = self.arrivals.iter().map(|arrival| arrival.delay);
        delays.fold(self.stall, f64::max)
    }

    /// Returns the models whose servers would have throttled requests, the number of these
    /// requests, and the first and the last of them.
    pub(super) fn throttled(&self) -> Vec<(Model, usize, f64, f64)> {
        let times: Vec<f64> = self.arrivals.iter().map(|arrival| arrival.at).collect();
        let models = Model::all().into_iter();
        let throttled = models.filter_map(|model| {
            let throttled = model.throttled(&times);
            Some((
                model,
                throttled.len(),
                *throttled.first()?,
                *throttled.last()?,
            ))
        });
        throttled.collect()
    }
}

/// The processes, and the threads that serve them.
pub(super) struct Fleet {
    processes: Vec<Process>,
    shared: Arc<Shared>,
    start: u64,
    stall: f64,
}

struct Process {
    index: usize,
    child: Child,
    stream: TcpStream,
    /// It returns the number of responses that the process got.
    thread: Option<JoinHandle<u64>>,
}

#[derive(Default)]
struct Shared {
    /// With the time of the system in place of that since the start.
    arrivals: Mutex<Vec<(u64, Arrival)>>,
    throttles: AtomicBool,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended by itself, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Fleet {
    /// Starts processes that keep these numbers of requests waiting.
    pub(super) fn start(store: &Server, waiting: &[usize]) -> Self {
        let _turn = START.lock().unwrap_or_else(PoisonError::into_inner);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let waiting = waiting.iter().enumerate();
        let mut children: Vec<_> = waiting
            .map(|(index, &waiting)| Some(child::spawn(port, &store.url(), index, waiting)))
            .collect();
        let shared = Arc::new(Shared::default());
        let processes = (0..children.len()).map(|_| {
            let stream = accept(&listener);
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut index = String::new();
            reader.read_line(&mut index).unwrap();
            let index = index.trim_end().parse().expect("a process starts");
            let thread = thread::spawn({
                let (shared, stream) = (Arc::clone(&shared), stream.try_clone().unwrap());
                move || shared.serve(index, reader, &stream)
            });
            let child = children[index].take().expect("each has its index");
            Process {
                index,
                child,
                stream,
                thread: Some(thread),
            }
        });
        let mut processes: Vec<_> = processes.collect();
        processes.sort_by_key(|process| process.index);
        let fleet = Self {
            processes,
            shared,
            start: micros(),
            stall: 0.0,
        };
        fleet.write("start");
        fleet
    }

    /// Waits until this time since the start. It measures how late the machine wakes this thread.
    pub(super) fn wait_until(&mut self, seconds: f64) {
        loop {
            let before = self.now();
            let wait = (seconds - before).min(LOOK);
            if wait <= 0.0 {
                return;
            }
            pause(Duration::from_secs_f64(wait));
            self.stall = self.stall.max(self.now() - before - wait);
        }
    }

    fn now(&self) -> f64 {
        (micros() - self.start) as f64 / 1e6
    }

    /// Throttles the next request, with a pause of a second.
    pub(super) fn throttle_one(&self) {
        self.shared.throttles.store(true, Ordering::Relaxed);
    }

    /// Stops the processes, and waits until all their requests are answered.
    pub(super) fn stop(mut self) -> Outcome {
        self.write("stop");
        let stopped = micros();
        let mut answered = Vec::new();
        for process in &mut self.processes {
            let thread = process.thread.take().expect("it is joined once");
            while !thread.is_finished() {
                let waited = micros() - stopped;
                assert!(waited < LONGEST_END, "process {} waits", process.index);
                pause(Duration::from_millis(5));
            }
            answered.push(thread.join().expect("a process answers"));
        }
        let arrivals = self.shared.arrivals.lock().unwrap();
        let mut arrivals: Vec<Arrival> = arrivals
            .iter()
            .map(|&(at, arrival)| Arrival {
                at: (at - self.start) as f64 / 1e6,
                ..arrival
            })
            .collect();
        arrivals.sort_by(|one, other| one.at.total_cmp(&other.at));
        Outcome {
            arrivals,
            answered,
            calls: None,
            stall: self.stall,
        }
    }

    fn write(&self, line: &str) {
        for process in &self.processes {
            writeln!(&process.stream, "{line}").unwrap();
        }
    }
}

fn accept(listener: &TcpListener) -> TcpStream {
    let start = micros();
    loop {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).unwrap();
            stream.set_nodelay(true).unwrap();
            return stream;
        }
        assert!(micros() - start < LONGEST_START, "a process does not start");
        pause(Duration::from_millis(5));
    }
}

impl Shared {
    /// Answers the requests of a process until it says how many responses its callers got.
    fn serve(
        &self,
        process: usize,
        mut reader: BufReader<TcpStream>,
        mut stream: &TcpStream,
    ) -> u64 {
        let mut line = String::new();
        loop {
            line.clear();
            let read = reader.read_line(&mut line).unwrap();
            let now = micros();
            assert!(read > 0, "process {process} ended");
            let numbers: Vec<u64> = line
                .split_whitespace()
                .map(|word| word.parse().unwrap())
                .collect();
            let &[number, ready, calls] = numbers.as_slice() else {
                return numbers[0];
            };
            let is_throttled = self.throttles.swap(false, Ordering::Relaxed);
            let status = if is_throttled { 429 } else { 200 };
            let arrival = Arrival {
                at: 0.0,
                process,
                delay: now.saturating_sub(ready) as f64 / 1e6,
                calls,
                is_throttled,
            };
            self.arrivals.lock().unwrap().push((now, arrival));
            stream
                .write_all(format!("{number} {status}\n").as_bytes())
                .unwrap();
        }
    }
}
