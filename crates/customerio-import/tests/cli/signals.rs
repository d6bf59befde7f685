use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::fixture::{API_KEY, Fixture, Run, SITE_ID, data, ended, finish, signal, with_hangups};

const TIMES: u64 = 20;
const RECORDS: u64 = 2000;

/// A run that gets a signal, with files of its own.
struct SignaledRun<'a> {
    fixture: &'a Fixture,
    folder: PathBuf,
    line: String,
}

impl<'a> SignaledRun<'a> {
    /// Every tenth record is invalid. The run takes about a second.
    fn new(fixture: &'a Fixture, name: &str) -> Self {
        let folder = fixture.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let row = |n| match n % 10 {
            0 => ".\n".to_owned(),
            _ => format!("{name}-{n}\n"),
        };
        let rows: String = (0..RECORDS).map(row).collect();
        std::fs::write(folder.join("a.csv"), format!("id\n{rows}")).unwrap();
        let shown = folder.display();
        let line = format!(
            "people {shown}/a.csv --id-column id --yes --batch-items 20 --limit 90/1s --concurrency 4 --report {shown}/report \
             --rejects {shown}/rejects --base-url {}",
            fixture.url()
        );
        Self {
            fixture,
            folder,
            line,
        }
    }

    fn command(&self) -> Command {
        with_credentials(with_hangups(&self.line))
    }

    /// Sends the signal this long after the journal exists.
    fn run(&self, name: &str, after: Duration) -> Run {
        let child = self.command().spawn().unwrap();
        let journal = self.folder.join("a.csv.cio-journal");
        while !journal.exists() {
            thread::yield_now();
        }
        pause(after);
        signal(&child, &[name]);
        ended(child.wait_with_output().unwrap())
    }

    /// Checks the files and the report of the run, before which the simulator had `before` people.
    /// Returns whether the run was stopped.
    fn check(&self, run: &Run, before: u64) -> bool {
        let message = format!("{}: {}{}", run.code, run.stdout, run.stderr);
        let left = |name: &str| self.folder.join(name).exists();
        if run.stderr.contains("nothing was sent") {
            assert_eq!(run.code, 5, "{message}");
            let left = ["a.csv.cio-journal", "report", "rejects"].map(left);
            assert_eq!(left, [false; 3], "{message}");
            return true;
        }
        let report = parsed(&std::fs::read_to_string(self.folder.join("report")).unwrap());
        let count = |key: &str| report[key].as_u64().unwrap();
        let settled = ["accepted", "rejected", "unknown", "not_sent"].map(count);
        assert_eq!(settled.iter().sum::<u64>(), RECORDS, "{message}");
        assert_eq!(count("records"), RECORDS, "{message}");
        assert_eq!(count("unknown"), 0, "{message}");
        let people = self.fixture.simulator.totals().people - before;
        assert_eq!(count("accepted"), people, "{message}");
        let rejects = std::fs::read_to_string(self.folder.join("rejects")).unwrap();
        let rejects: Vec<_> = rejects.lines().map(parsed).collect();
        assert_eq!(rejects.len() as u64, count("rejected"), "{message}");
        match run.code {
            5 => {
                let next = "cio-import: interrupted; to send the rest, run the same command again";
                assert!(run.stderr.contains(next), "{message}");
            }
            _ => {
                assert_eq!(run.code, 3, "{message}");
                assert_eq!(count("not_sent"), 0, "{message}");
            }
        }
        run.code == 5
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn with_credentials(mut command: Command) -> Command {
    command
        .env("CUSTOMERIO_SITE_ID", SITE_ID)
        .env("CUSTOMERIO_TRACK_API_KEY", API_KEY);
    command
}

/// Waits in real time, since the other process does.
fn pause(time: Duration) {
    let (_open, never) = mpsc::channel::<()>();
    assert!(never.recv_timeout(time).is_err());
}

fn check_at_random_times(name: &str, seed: u64) {
    let fixture = Fixture::new();
    let mut random = StdRng::seed_from_u64(seed);
    let mut stopped = 0;
    for time in 0..TIMES {
        let signaled = SignaledRun::new(&fixture, &format!("{name}{time}"));
        let before = fixture.simulator.totals().people;
        let after = Duration::from_millis(random.random_range(0..1500));
        let run = signaled.run(name, after);
        stopped += u64::from(signaled.check(&run, before));
        if time == TIMES - 1 {
            finish(signaled.command(), b"").check(3, "");
            let people = fixture.simulator.totals().people - before;
            assert_eq!(people, RECORDS / 10 * 9, "the same command sends the rest");
        }
    }
    assert!(
        stopped > 0,
        "each run is finished since an earlier run its signal"
    );
}

#[test]
fn sigint_at_any_time_leaves_complete_files() {
    check_at_random_times("INT", 1);
}

#[test]
fn sigterm_at_any_time_leaves_complete_files() {
    check_at_random_times("TERM", 2);
}

#[test]
fn sighup_at_any_time_leaves_complete_files() {
    check_at_random_times("HUP", 3);
}

/// Serves one request. Reports its arrival, and answers once it is released.
fn held_server() -> (u16, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (arrives, arrived) = mpsc::channel();
    let (release, released) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 1024];
        assert!(stream.read(&mut head).unwrap() > 0);
        arrives.send(()).unwrap();
        if released.recv().is_ok() {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
            // Fails if the run was stopped: it has closed the connection.
            let _ = stream.write_all(answer);
        }
    });
    (port, arrived, release)
}

/// Reads the standard error up to a line with `text`.
pub(crate) fn read_until(child: &mut Child, text: &str) -> BufReader<std::process::ChildStderr> {
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut message = String::new();
    while !message.contains(text) {
        assert_ne!(stderr.read_line(&mut message).unwrap(), 0, "{message}");
    }
    stderr
}

/// Starts a run of one record.
fn started(fixture: &Fixture, port: u16) -> Child {
    let file = fixture.file("a.csv", "id\n1\n");
    let line = format!(
        "people {} --id-column id --yes --report {} --base-url http://127.0.0.1:{port}",
        file.display(),
        fixture.folder.path().join("report.json").display()
    );
    with_credentials(with_hangups(&line)).spawn().unwrap()
}

#[test]
fn a_second_signal_of_any_kind_stops_at_once() {
    for signals in [["TERM", "HUP"], ["INT", "TERM"], ["HUP", "INT"]] {
        let fixture = Fixture::new();
        let (port, arrived, _release) = held_server();
        let mut child = started(&fixture, port);
        arrived.recv().unwrap();
        signal(&child, &signals[..1]);
        let _stderr = read_until(&mut child, "finishing 1 request in flight; to stop at once");
        // Signals within 100 ms count as one.
        pause(Duration::from_millis(300));
        signal(&child, &signals[1..]);
        let code = child.wait().unwrap().code();
        assert_eq!(code, Some(5), "{signals:?}");
        fixture.check_report([1, 0, 0, 1, 0]);
        assert_eq!(
            fixture.report()["requests"],
            1,
            "{signals:?}: the run waited"
        );
    }
}

#[test]
fn signals_within_100_ms_count_as_one() {
    for signals in [["TERM", "TERM"], ["HUP", "HUP"], ["TERM", "HUP"]] {
        let fixture = Fixture::new();
        let (port, arrived, release) = held_server();
        let mut child = started(&fixture, port);
        arrived.recv().unwrap();
        signal(&child, &signals);
        let _stderr = read_until(&mut child, "finishing 1 request in flight");
        pause(Duration::from_millis(300));
        release.send(()).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(5), "{signals:?}");
        fixture.check_report([1, 1, 0, 0, 0]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_under_nohup_outlives_the_terminal() {
    let fixture = Fixture::new();
    let mut command = Command::new("sh");
    let line = format!(
        "people {} --id-column playerID --yes --no-journal --limit 30/1s --base-url {} -vv",
        data("people.csv"),
        fixture.url()
    );
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
    command.arg(Path::new(env!("CARGO_BIN_EXE_cio-import")));
    command.args(line.split_whitespace());
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let mut child = with_credentials(command).spawn().unwrap();
    let mut stderr = read_until(&mut child, "request done");
    signal(&child, &["HUP"]);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest}");
    assert_eq!(fixture.simulator.totals().people, 20_093);
}
