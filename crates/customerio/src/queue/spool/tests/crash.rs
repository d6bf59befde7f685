//! Processes that are killed, before a simulator that counts each copy of an event.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use customerio_sim::{Dedupe, Server, Simulator};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;
use tokio::time::sleep;

use super::faulty::{Crash, Plan, Step};
use super::*;
use crate::queue::clock;
use crate::{Credentials, Event, EventId, Timestamp};

/// How often the program is killed, and how many operations it enqueues without a kill. With a
/// pause of a millisecond in each of eight tasks, that takes longer than any kill.
const KILLS: u64 = 50;
const EVENTS: u64 = 4_000;
const PAUSE: Duration = Duration::from_millis(1);

/// The environment of a killed program: the spool, the URL, the first number, the crash.
const SETTINGS: &str = "CUSTOMERIO_SPOOL_TEST";

/// How long before a kill an outcome is on disk: twice the lag of the writer, and the time of a
/// commit and of a line of output on a busy machine.
const SETTLED: Duration = Duration::from_millis(500);

fn event_id(number: u64) -> EventId {
    EventId::derive("spool", number.to_string(), None)
}

fn event(number: u64) -> Operation {
    let person = Person::id(&format!("p{}", number % 20)).unwrap();
    let time = Timestamp::new(1_700_000_000).unwrap();
    let event = Event::new("visited").unwrap().timestamp(time);
    Operation::event(&person, &event.id(event_id(number))).unwrap()
}

/// A program that is to be killed.
struct Program {
    child: Child,
    lines: Arc<Mutex<Lines>>,
    reader: std::thread::JoinHandle<()>,
}

#[derive(Default)]
struct Lines {
    acknowledged: HashSet<u64>,
    settled: HashMap<u64, Instant>,
    is_done: bool,
}

impl Program {
    fn start(settings: &str) -> Self {
        let name = "queue::spool::tests::crash::a_program_enqueues_and_sends_until_it_is_killed";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(SETTINGS, settings)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = Arc::<Mutex<Lines>>::default();
        let output = BufReader::new(child.stdout.take().unwrap());
        let read = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                read.lock().unwrap().read(&line);
            }
        });
        Self {
            child,
            lines,
            reader,
        }
    }

    /// Kills the process at a time. It may end before, at its named step.
    async fn kill_after(&mut self, time: Duration) {
        let started = clock::now();
        while clock::now() - started < time && self.child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(5)).await;
        }
        self.child.kill().unwrap();
    }

    /// Waits for the end of the process, and returns its lines and the time of its end.
    async fn end(mut self) -> (Lines, Instant) {
        until(|| self.child.try_wait().unwrap().is_some()).await;
        let end = clock::now();
        self.reader.join().unwrap();
        let lines = std::mem::take(&mut *self.lines.lock().unwrap());
        (lines, end)
    }
}

impl Lines {
    fn read(&mut self, line: &str) {
        // The harness of the tests writes lines, too.
        let Some((word, number)) = line.split_once(' ') else {
            self.is_done |= line == "done";
            return;
        };
        let Ok(number) = number.parse() else {
            return;
        };
        match word {
            "acknowledged" => drop(self.acknowledged.insert(number)),
            "settled" => drop(self.settled.insert(number, clock::now())),
            _ => {}
        }
    }
}

/// Enqueues events from eight tasks, and drains the queue. Each step is a line of output.
async fn run(path: &str, url: &str, first: u64, plan: &Arc<Plan>) {
    let credentials = Credentials::new("site", "key").unwrap();
    let client = Client::builder().credentials(credentials).base_url(url);
    let client = client.build().unwrap();
    let settings = |queue: QueueBuilder| queue.batch(10).concurrency(2).max_len(100);
    let (queue, worker) = open(Path::new(path), plan, &client, settings);
    let tasks = (0..8).map(|task| {
        let queue = queue.clone();
        tokio::spawn(async move {
            let mut settled = Vec::new();
            for number in (first + task..first + EVENTS).step_by(8) {
                let receipt = queue.enqueue(event(number)).await.unwrap();
                println!("acknowledged {number}");
                sleep(PAUSE).await;
                settled.push(tokio::spawn(async move {
                    assert!(receipt.await.is_accepted());
                    println!("settled {number}");
                }));
            }
            for settled in settled {
                settled.await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert!(queue.drain(MINUTE).await.is_complete());
    worker.await.unwrap();
    println!("done");
}

async fn simulator() -> (Simulator, Server) {
    let simulator = Simulator::builder().dedupe(Dedupe::Off).build();
    let server = Server::bind("127.0.0.1:0", simulator.clone())
        .await
        .unwrap();
    (simulator, server)
}

/// Returns how often an event has arrived.
fn received(simulator: &Simulator, number: u64) -> u64 {
    let event = simulator.event(&event_id(number).to_string());
    event.map_or(0, |event| event.received)
}

/// The program of the test below. Alone, it is not killed.
#[tokio::test]
async fn a_program_enqueues_and_sends_until_it_is_killed() {
    if let Ok(settings) = std::env::var(SETTINGS) {
        let settings: Vec<_> = settings.split('|').collect();
        let crash = settings[3].split_once(' ').map(|(step, calls)| Crash {
            step: Step::ALL[step.parse::<usize>().unwrap()],
            calls: calls.parse().unwrap(),
        });
        let first = settings[2].parse().unwrap();
        return run(settings[0], settings[1], first, &Plan::crashing(crash)).await;
    }
    let (simulator, server) = simulator().await;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("queue.db");
    let path = path.to_str().unwrap();
    run(path, &server.url(), 0, &Plan::new([])).await;
    assert!((0..EVENTS).all(|number| received(&simulator, number) == 1));
    assert_eq!(on_disk(Path::new(path)), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_lose_nothing_and_send_again_only_what_was_in_flight() {
    let (simulator, server) = simulator().await;
    let received = |number| received(&simulator, number);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("queue.db");
    let mut rng = StdRng::seed_from_u64(14);
    let mut acknowledged = HashSet::new();
    // What was on disk as settled before a kill, and how often it had arrived.
    let mut settled = HashMap::new();
    let mut crashed = 0;
    for kill in 0..=KILLS {
        let is_last = kill == KILLS;
        let crash = match kill % 2 {
            // Every other kill is at a named step, the others at a random time.
            0 if !is_last => format!("{} {}", kill / 2 % 4, rng.random_range(1..20)),
            _ => String::new(),
        };
        let path = path.to_str().unwrap();
        let settings = format!("{path}|{}|{}|{crash}", server.url(), kill * EVENTS);
        let mut program = Program::start(&settings);
        if !is_last {
            let time = Duration::from_millis(rng.random_range(50..400));
            program.kill_after(time).await;
        }
        let (lines, end) = program.end().await;
        crashed += u64::from(!lines.is_done);
        assert!(!is_last || lines.is_done);
        acknowledged.extend(&lines.acknowledged);
        for (number, at) in lines.settled {
            if end.saturating_duration_since(at) > SETTLED {
                settled.insert(number, received(number));
            }
        }
    }
    let copies: u64 = acknowledged.iter().map(|number| received(*number)).sum();
    let len = acknowledged.len() as u64;
    println!(
        "{len} acknowledged in {crashed} crashes, {} sent again",
        copies - len
    );
    assert_eq!(crashed, KILLS);
    for number in &acknowledged {
        assert!(received(*number) >= 1, "{number} is lost");
    }
    for (number, before) in settled {
        assert_eq!(
            received(number),
            before,
            "{number} was settled, and sent again"
        );
    }
    // At a kill, two requests of ten events are in flight, and outcomes of 20 ms are not on disk.
    let most = KILLS * (20 + 200);
    assert!(
        copies - len <= most,
        "{} sent again in {crashed} crashes",
        copies - len
    );
    assert_eq!(on_disk(&path), 0);
}
