//! Runs that are killed or get a signal at any point, and are then started again with the same
//! command. The simulator applies every event, also one that it has seen before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use customerio::{EventId, Timestamp};
use customerio_sim::{Dedupe, Faults, Simulator};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::fixture::{
    API_KEY, Fixture, Run, SITE_ID, ended, finish, rejects, signal, with_hangups,
};

/// The records of an import. At 400 a second a run takes about half a second.
const RECORDS: u64 = 200;

/// Each person has as many records as this, one after the other.
const EACH: u64 = 4;

/// How many imports run side by side. The processes mostly wait, so more than there are cores.
const SIDE_BY_SIDE: usize = 10;

/// The points at which a debug build can be killed, and how often each is reached at least.
const POINTS: [(&str, u64); 10] = [
    ("a group", 2),
    ("half of the rows", 2),
    ("rows that are not synced", 2),
    ("rows", 2),
    ("half a line", 4),
    ("a line that is not synced", 4),
    ("a line", 4),
    ("a line", 3),
    ("finished", 1),
    ("completed", 1),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    People,
    Events,
}

/// How a run is stopped.
#[derive(Clone, Debug)]
enum End {
    /// At a named point, for the given time.
    Point(&'static str, u64),
    /// By a signal, this long after the journal exists.
    Signal(&'static str, Duration),
}

/// An import with a simulator of its own.
struct Import {
    kind: Kind,
    fixture: Fixture,
}

/// Every tenth record is invalid.
fn is_valid(number: u64) -> bool {
    !number.is_multiple_of(10)
}

/// The people take turns, so that batches hold records of many.
fn person(number: u64) -> u64 {
    number % (RECORDS / EACH)
}

impl Import {
    fn new(kind: Kind) -> Self {
        let faults = Faults::none().jitter(Duration::from_millis(30));
        let simulator = Simulator::builder().dedupe(Dedupe::Off).faults(faults);
        let fixture = Fixture::with(simulator);
        let row = |number| match is_valid(number) {
            true => format!("p{},{number},{number}\n", person(number)),
            false => format!("..,{number},{number}\n"),
        };
        let rows: String = (1..=RECORDS).map(row).collect();
        fixture.file("a.csv", format!("id,n,at\n{rows}"));
        Self { kind, fixture }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.fixture.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let folder = self.fixture.folder.path().display();
        let kind = match self.kind {
            Kind::People => "people",
            Kind::Events => {
                "events --name won --timestamp-column at --timestamp-format unix --import-id i"
            }
        };
        let line = format!(
            "{kind} {folder}/a.csv --id-column id --yes --batch-items 8 --limit 60/1s \
             --concurrency 4 --report {folder}/report.json --rejects {folder}/rejects.csv \
             --base-url {}",
            self.fixture.url()
        );
        let mut command = with_hangups(&line);
        command
            .env("CUSTOMERIO_SITE_ID", SITE_ID)
            .env("CUSTOMERIO_TRACK_API_KEY", API_KEY);
        command
    }

    /// Runs the import until it is stopped or finished. Returns none if it was killed.
    fn run(&self, end: &End) -> Option<Run> {
        let mut command = self.command();
        if let End::Point(name, time) = end {
            command.env("CIO_IMPORT_CRASH", format!("{name}:{time}"));
        }
        let mut child = command.spawn().unwrap();
        if let End::Signal(name, after) = end {
            let journal = self.path("a.csv.cio-journal");
            while !journal.exists() && child.try_wait().unwrap().is_none() {
                pause(Duration::from_millis(2));
            }
            pause(*after);
            if child.try_wait().unwrap().is_none() {
                signal(&child, &[name]);
            }
        }
        let output = child.wait_with_output().unwrap();
        output.status.code().map(|_| ended(output))
    }

    /// Returns the records that the journal says are settled.
    fn journaled(&self) -> BTreeSet<u64> {
        let journal = fs::read(self.path("a.csv.cio-journal")).unwrap_or_default();
        let text = String::from_utf8_lossy(&journal);
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole
            .lines()
            .filter_map(|line| line.strip_prefix("settled "));
        let ranges = lines.flat_map(|line| line.split(' ').next().unwrap().split(','));
        let records = ranges.flat_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            first.parse::<u64>().unwrap()..=last.parse().unwrap()
        });
        records.collect()
    }

    /// Returns how often each valid record has arrived. For people this is unknown, so the total is
    /// returned as that of record 0.
    fn arrivals(&self) -> BTreeMap<u64, u64> {
        let simulator = &self.fixture.simulator;
        if self.kind == Kind::People {
            return [(0, simulator.totals().accepted)].into();
        }
        let valid = (1..=RECORDS).filter(|number| is_valid(*number));
        let arrivals = valid.map(|number| {
            let at = Timestamp::new(number as i64).unwrap();
            let key = format!("{} won", number - 1);
            let id = EventId::derive("i", key, Some(at)).to_string();
            let event = simulator.event(&id);
            (number, event.map_or(0, |event| event.received))
        });
        arrivals.collect()
    }

    /// Runs the same command to its end. Checks that no record is lost, that only records arrived
    /// twice that were not settled in the journal, and that each record has its outcome. Returns
    /// how many records arrived twice.
    #[track_caller]
    fn check_resumed(&self, end: &End) -> u64 {
        let journaled = self.journaled();
        let run = finish(self.command(), b"");
        run.check(3, "");
        let message = format!("{end:?}: {}{}", run.stdout, run.stderr);
        let after = self.arrivals();
        let valid: Vec<_> = (1..=RECORDS).filter(|number| is_valid(*number)).collect();
        let twice = after.values().sum::<u64>() - valid.len() as u64;
        let left = valid.iter().filter(|number| !journaled.contains(number));
        assert!(
            twice <= left.count() as u64,
            "{twice} arrived twice: {message}"
        );
        for number in valid.iter().filter(|_| self.kind == Kind::Events) {
            // In flight at the crash, or not.
            let most = if journaled.contains(number) { 1 } else { 2 };
            let arrivals = after[number];
            assert!(
                (1..=most).contains(&arrivals),
                "{number}, {arrivals}: {message}"
            );
        }
        self.check_outcomes(&message);
        twice
    }

    fn check_outcomes(&self, message: &str) {
        let invalid = RECORDS / 10;
        self.fixture
            .check_report([RECORDS, RECORDS - invalid, invalid, 0, 0]);
        let rows = rejects(&self.path("rejects.csv"));
        let numbers: Vec<u64> = rows.iter().map(|row| row["n"].parse().unwrap()).collect();
        let expected: Vec<_> = (1..=RECORDS).filter(|number| !is_valid(*number)).collect();
        assert_eq!(numbers, expected, "{message}");
        let journal = fs::read_to_string(self.path("a.csv.cio-journal")).unwrap();
        assert!(journal.contains("\ncomplete {"), "{message}");
        if self.kind == Kind::Events {
            return;
        }
        for of in 0..RECORDS / EACH {
            let mut numbers = (1..=RECORDS).rev().filter(|number| person(*number) == of);
            let Some(last) = numbers.find(|number| is_valid(*number)) else {
                continue;
            };
            let found = self.fixture.simulator.person(&format!("p{of}")).unwrap();
            let expected = last.to_string();
            assert_eq!(
                found.attributes["n"], expected,
                "p{of} is out of order: {message}"
            );
        }
    }
}

/// Waits in real time, since the other process does.
fn pause(time: Duration) {
    let (_open, never) = mpsc::channel::<()>();
    assert!(never.recv_timeout(time).is_err());
}

/// Checks all cases, [`SIDE_BY_SIDE`] at a time. The check returns whether the run was stopped.
fn check_all(cases: Vec<(Kind, End)>, check: impl Fn(Kind, &End) -> bool + Sync) -> usize {
    let (cases, stopped) = (Mutex::new(cases), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let next = cases.lock().unwrap().pop();
                    let Some((kind, end)) = next else { break };
                    stopped.fetch_add(check(kind, &end).into(), Relaxed);
                }
            });
        }
    });
    stopped.into_inner()
}

fn random_ends(name: &'static str, count: usize, seed: u64) -> impl Iterator<Item = End> {
    let mut random = StdRng::seed_from_u64(seed);
    let ends = std::iter::repeat_with(move || random.random_range(0..800));
    ends.map(move |after| End::Signal(name, Duration::from_millis(after)))
        .take(count)
}

/// Kills runs at 100 points: at each named one, and at random times.
fn check_killed(kind: Kind, seed: u64) {
    // A release build has no named points.
    let points = POINTS.iter().filter(|_| cfg!(debug_assertions));
    let points = points.flat_map(|(name, times)| (1..=*times).map(|time| End::Point(name, time)));
    let points: Vec<_> = points.collect();
    let count = 100 - points.len();
    let ends = points.into_iter().chain(random_ends("KILL", count, seed));
    let killed = check_all(ends.map(|end| (kind, end)).collect(), |kind, end| {
        let import = Import::new(kind);
        let run = import.run(end);
        let is_named = matches!(end, End::Point(..));
        assert!(run.is_none() || !is_named, "{end:?} was not reached");
        // A request that was in flight may still be handled, and must not come after newer ones.
        pause(Duration::from_millis(100));
        import.check_resumed(end);
        run.is_none()
    });
    assert!(
        killed > 60,
        "most runs are finished before they are killed: {killed}"
    );
}

#[test]
fn an_import_of_people_that_is_killed_at_any_point_goes_on() {
    check_killed(Kind::People, 1);
}

#[test]
fn an_import_of_events_that_is_killed_at_any_point_goes_on() {
    check_killed(Kind::Events, 2);
}

fn check_signaled(name: &'static str, seed: u64) {
    let kinds = [Kind::People, Kind::Events].into_iter().cycle();
    let cases = kinds.zip(random_ends(name, 50, seed)).collect();
    let stopped = check_all(cases, |kind, end| {
        let import = Import::new(kind);
        let run = import.run(end).expect("the signal is handled");
        let message = format!("{end:?}: {}{}", run.stdout, run.stderr);
        if run.stderr.contains("nothing was sent") {
            assert_eq!(run.code, 5, "{message}");
            for name in ["a.csv.cio-journal", "report.json", "rejects.csv"] {
                assert!(!import.path(name).exists(), "{name}: {message}");
            }
        } else {
            let report = import.fixture.report();
            assert_eq!(report["records"], RECORDS, "{message}");
            assert_eq!(report["unknown"], 0, "{message}");
            let accepted = import.fixture.simulator.totals().accepted;
            assert_eq!(report["accepted"], accepted, "{message}");
            let settled = import.journaled().len() as u64;
            assert_eq!(report["not_sent"], RECORDS - settled, "{message}");
            let next = "cio-import: interrupted; to send the rest, run the same command again";
            assert!(run.code == 3 || run.stderr.contains(next), "{message}");
        }
        let stopped = run.code == 5;
        assert!(stopped || run.code == 3, "{message}");
        // The requests in flight are finished, so nothing is sent twice.
        assert_eq!(import.check_resumed(end), 0, "{message}");
        stopped
    });
    assert!(stopped > 25, "most runs end before the signal: {stopped}");
}

#[test]
fn an_import_goes_on_after_sigint_at_any_time() {
    check_signaled("INT", 3);
}

#[test]
fn an_import_goes_on_after_sigterm_at_any_time() {
    check_signaled("TERM", 4);
}

#[test]
fn an_import_goes_on_after_sighup_at_any_time() {
    check_signaled("HUP", 5);
}
