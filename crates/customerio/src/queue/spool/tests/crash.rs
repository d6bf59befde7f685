//! Processes that are killed, before a simulator that counts each copy of an event.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::middleware::{self, Next};
use customerio_sim::{Dedupe, Simulator};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::faulty::{Crash, Plan, Step};
use super::*;
use crate::queue::clock;
use crate::{Credentials, Event, EventId, Timestamp};

/// How often the program is killed.
const KILLS: u64 = 50;

/// The program enqueues in rounds. With a pause of a millisecond in each of eight tasks, and one
/// after each round, all of them take longer than any kill.
const ROUNDS: u64 = 5;
const ROUND: u64 = 200;
const EVENTS: u64 = ROUNDS * ROUND;
const TASKS: u64 = 8;
const PAUSE: Duration = Duration::from_millis(1);

/// The time after a round in which nothing is enqueued. Only then outcomes wait for their lag: each
/// operation to write takes them with it. A kill comes in its first half.
const QUIET: Duration = Duration::from_millis(300);

/// The memory of the queue, in operations. Each round has more, so that some are loaded from disk.
const MEMORY: u64 = 30;

/// The environment of a killed program: the spool, the URL, the first number, the crash.
const SETTINGS: &str = "CUSTOMERIO_SPOOL_TEST";

/// The program counts its own time in ticks, so that a busy machine slows them down with the
/// writer. Ticks while the writer waits for the disk do not count.
const TICK: Duration = Duration::from_millis(5);

/// How many ticks before its end a program had each outcome on disk: they take five times the lag
/// of the writer.
const SETTLED: u64 = 20;

/// How many ticks after a round a program is killed in the quiet time.
const KILLED: u64 = 25;

/// How many operations are in flight at a kill, in two requests of ten.
const IN_FLIGHT: u64 = 20;

fn event_id(number: u64) -> EventId {
    EventId::derive("spool", number.to_string(), None)
}

/// Each task has a person of its own, so that their operations have an order.
fn event(number: u64) -> Operation {
    let person = Person::id(&format!("p{}", number % TASKS)).unwrap();
    let time = Timestamp::new(1_700_000_000).unwrap();
    let event = Event::new("visited").unwrap().timestamp(time);
    let mut attributes = Attributes::new();
    attributes.insert("n", number).unwrap();
    let event = event.id(event_id(number)).attributes(attributes);
    Operation::event(&person, &event).unwrap()
}

/// How a program ends before it is done.
#[derive(Clone, Copy, Debug)]
enum Kill {
    /// By itself, at a named step.
    AtStep(Crash),
    After(Duration),
    /// In the quiet time after a round.
    InQuiet,
}

impl Kill {
    fn random(kill: u64, rng: &mut StdRng) -> Self {
        let step = Step::ALL[(kill / 2 % 4) as usize];
        // A round has a transaction for each operation of a task, and is loaded in a few parts.
        let calls = match step {
            Step::BeforeCommit | Step::AfterCommit => rng.random_range(1..20),
            Step::BeforeLoad | Step::AfterLoad => rng.random_range(1..=3),
        };
        match kill % 4 {
            0 | 2 => Self::AtStep(Crash { step, calls }),
            1 => Self::After(Duration::from_millis(rng.random_range(50..400))),
            _ => Self::InQuiet,
        }
    }
}

/// A program that is to be killed.
struct Program {
    child: Child,
    lines: Arc<Mutex<Lines>>,
    reader: std::thread::JoinHandle<()>,
}

#[derive(Default)]
struct Lines {
    ticks: u64,
    acknowledged: HashSet<u64>,
    /// Settled operations, with the ticks before.
    settled: HashMap<u64, u64>,
    /// The ticks before the first quiet time.
    quiet: Option<u64>,
    has_crashed: bool,
    is_done: bool,
}

impl Program {
    fn start(path: &Path, url: &str, first: u64, kill: Option<Kill>) -> Self {
        let name = "queue::spool::tests::crash::a_program_enqueues_and_sends_until_it_is_killed";
        let crash = match kill {
            Some(Kill::AtStep(Crash { step, calls })) => format!("{} {calls}", step as usize),
            _ => String::new(),
        };
        let settings = format!("{}|{url}|{first}|{crash}", path.to_str().unwrap());
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

    /// Kills the process, or waits until it ends by itself. Returns its lines.
    async fn end(mut self, kill: Option<Kill>) -> Lines {
        let started = clock::now();
        let lines = Arc::clone(&self.lines);
        let is_due = || match kill {
            Some(Kill::After(time)) => clock::now() - started >= time,
            Some(Kill::InQuiet) => {
                let lines = lines.lock().unwrap();
                let is_due = |quiet| lines.ticks >= quiet + KILLED;
                lines.quiet.is_some_and(is_due)
            }
            Some(Kill::AtStep(_)) | None => false,
        };
        until(|| is_due() || self.child.try_wait().unwrap().is_some()).await;
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reader.join().unwrap();
        std::mem::take(&mut *self.lines.lock().unwrap())
    }
}

impl Lines {
    fn read(&mut self, line: &str) {
        match line {
            "tick" => self.ticks += 1,
            "quiet" => self.quiet = self.quiet.or(Some(self.ticks)),
            "crashed" => self.has_crashed = true,
            "done" => self.is_done = true,
            line => self.read_number(line),
        }
    }

    fn read_number(&mut self, line: &str) {
        // The harness of the tests writes lines, too.
        let Some((word, number)) = line.split_once(' ') else {
            return;
        };
        let Ok(number) = number.parse() else {
            return;
        };
        match word {
            "acknowledged" => drop(self.acknowledged.insert(number)),
            "settled" => drop(self.settled.insert(number, self.ticks)),
            _ => {}
        }
    }
}

/// Enqueues events from eight tasks, and drains the queue. Each step is a line of output.
async fn run(path: &Path, url: &str, first: u64, plan: &Arc<Plan>) {
    let credentials = Credentials::new("site", "key").unwrap();
    let client = Client::builder().credentials(credentials).base_url(url);
    let client = client.build().unwrap();
    let memory = MEMORY as usize;
    let settings = |queue: QueueBuilder| queue.batch(10).concurrency(2).max_len(memory).paused();
    let (queue, worker) = open(path, plan, &client, settings);
    let ticks = tokio::spawn({
        let plan = Arc::clone(plan);
        async move {
            loop {
                sleep(TICK).await;
                if !plan.is_committing() {
                    println!("tick");
                }
            }
        }
    });
    for round in 0..ROUNDS {
        let first = first + round * ROUND;
        let tasks = (0..TASKS).map(|task| {
            let queue = queue.clone();
            tokio::spawn(async move {
                let mut settled = Vec::new();
                for number in (first + task..first + ROUND).step_by(TASKS as usize) {
                    let receipt = queue.enqueue(event(number)).await.unwrap();
                    println!("acknowledged {number}");
                    sleep(PAUSE).await;
                    settled.push(tokio::spawn(async move {
                        assert!(receipt.await.is_accepted());
                        println!("settled {number}");
                    }));
                    // The others are more than three loads.
                    if number - first > 5 * MEMORY {
                        queue.resume();
                    }
                }
                for settled in settled {
                    settled.await.unwrap();
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        println!("quiet");
        sleep(QUIET).await;
    }
    assert!(queue.drain(MINUTE).await.is_complete());
    worker.await.unwrap();
    ticks.abort();
    println!("done");
}

/// A simulator that counts each copy, and the numbers of the events in the order of application.
struct Books {
    simulator: Simulator,
    applied: Arc<Mutex<Vec<u64>>>,
    url: String,
}

impl Books {
    async fn open() -> Self {
        let simulator = Simulator::builder().dedupe(Dedupe::Off).build();
        let applied = Arc::<Mutex<Vec<u64>>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let record = middleware::from_fn_with_state(Arc::clone(&applied), record);
        let router = simulator.router().layer(record);
        tokio::spawn(async { axum::serve(listener, router).await });
        Self {
            simulator,
            applied,
            url,
        }
    }

    /// Returns how often an event has arrived.
    fn received(&self, number: u64) -> u64 {
        let event = self.simulator.event(&event_id(number).to_string());
        event.map_or(0, |event| event.received)
    }

    /// Checks that the operations on each person were first applied in the order of enqueue, and
    /// that the last one was applied last.
    fn check_order(&self, acknowledged: &HashSet<u64>) {
        let applied = self.applied.lock().unwrap();
        for person in 0..TASKS {
            let is_theirs = |number: &&u64| **number % TASKS == person;
            let (mut highest, mut last) = (None, None);
            let mut seen = HashSet::new();
            for number in applied.iter().filter(is_theirs) {
                last = Some(number);
                if seen.insert(number) {
                    assert!(highest < last, "{number} was applied after {highest:?}");
                    highest = last;
                }
            }
            assert_eq!(last, acknowledged.iter().filter(is_theirs).max());
        }
    }
}

/// Records the numbers of the events in a request that has succeeded.
async fn record(
    applied: State<Arc<Mutex<Vec<u64>>>>,
    request: axum::extract::Request,
    next: Next,
) -> axum::response::Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let events = match value["batch"].as_array() {
        Some(events) => events.clone(),
        None => vec![value],
    };
    let request = axum::extract::Request::from_parts(parts, body.into());
    let response = next.run(request).await;
    if response.status().is_success() {
        let number = |event: &serde_json::Value| event["attributes"]["n"].as_u64().unwrap();
        applied.lock().unwrap().extend(events.iter().map(number));
    }
    response
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
        let path = Path::new(settings[0]);
        return run(path, settings[1], first, &Plan::crashing(crash)).await;
    }
    let books = Books::open().await;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("queue.db");
    run(&path, &books.url, 0, &Plan::new([])).await;
    assert!((0..EVENTS).all(|number| books.received(number) == 1));
    books.check_order(&(0..EVENTS).collect());
    assert_eq!(on_disk(&path), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_lose_nothing_and_send_again_only_what_was_in_flight() {
    let books = Books::open().await;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("queue.db");
    let mut rng = StdRng::seed_from_u64(14);
    let mut acknowledged = HashSet::new();
    // The operations whose outcomes were on disk before a kill, and how often they had arrived.
    let mut settled = HashMap::new();
    // How many operations may be sent again: those in flight, as many whose outcomes were not shown
    // yet, and those with outcomes that may not have been on disk.
    let mut most = 0;
    for kill in 0..=KILLS {
        let first = kill * EVENTS;
        let kill = (kill < KILLS).then(|| Kill::random(kill, &mut rng));
        let lines = Program::start(&path, &books.url, first, kill)
            .end(kill)
            .await;
        assert_eq!(lines.is_done, kill.is_none(), "{kill:?}");
        assert_eq!(
            lines.has_crashed,
            matches!(kill, Some(Kill::AtStep(_))),
            "{kill:?}"
        );
        acknowledged.extend(&lines.acknowledged);
        most += 2 * IN_FLIGHT;
        for (number, ticks) in lines.settled {
            match lines.ticks >= ticks + SETTLED {
                true => drop(settled.insert(number, books.received(number))),
                false => most += 1,
            }
        }
    }
    let copies: u64 = acknowledged
        .iter()
        .map(|number| books.received(*number))
        .sum();
    let again = copies - acknowledged.len() as u64;
    println!(
        "{} acknowledged, {again} sent again of {most}",
        acknowledged.len()
    );
    for number in &acknowledged {
        assert!(books.received(*number) >= 1, "{number} is lost");
    }
    for (number, before) in settled {
        let received = books.received(number);
        assert_eq!(received, before, "{number} was settled, and sent again");
    }
    assert!(again <= most, "{again} sent again");
    books.check_order(&acknowledged);
    assert_eq!(on_disk(&path), 0);
}
