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

use crate::world::{API_KEY, Run, SITE_ID, World, data, ended, finish, signal, with_hangups};

const TIMES: u64 = 20;
const RECORDS: u64 = 2000;

/// One run that a signal meets, with files of its own.
struct Met<'a> {
    world: &'a World,
    folder: PathBuf,
    line: String,
}

impl<'a> Met<'a> {
    /// Every tenth record cannot be sent; the run takes about a second.
    fn new(world: &'a World, name: &str) -> Self {
        let folder = world.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let row = |n| match n % 10 {
            0 => ".\n".to_owned(),
            _ => format!("{name}-{n}\n"),
        };
        let rows: String = (0..RECORDS).map(row).collect();
        std::fs::write(folder.join("a.csv"), format!("id\n{rows}")).unwrap();
        let shown = folder.display();
        let line = format!(
            "people {shown}/a.csv --id-column id --batch-items 20 --limit 90/1s --concurrency 4 --report {shown}/report \
             --rejects {shown}/rejects --base-url {}",
            world.url()
        );
        Self {
            world,
            folder,
            line,
        }
    }

    fn command(&self) -> Command {
        with_credentials(with_hangups(&self.line))
    }

    /// Sends the signal so long after the journal is there.
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

    /// Checks what the run left, where `before` people were known when it began. Returns whether it
    /// was stopped.
    fn check(&self, run: &Run, before: u64) -> bool {
        let said = format!("{}: {}{}", run.code, run.stdout, run.stderr);
        let left = |name: &str| self.folder.join(name).exists();
        if run.stderr.contains("nothing was sent") {
            assert_eq!(run.code, 5, "{said}");
            let left = ["a.csv.cio-journal", "report", "rejects"].map(left);
            assert_eq!(left, [false; 3], "{said}");
            return true;
        }
        let report = parsed(&std::fs::read_to_string(self.folder.join("report")).unwrap());
        let count = |key: &str| report[key].as_u64().unwrap();
        let settled = ["accepted", "rejected", "unknown", "not_sent"].map(count);
        assert_eq!(settled.iter().sum::<u64>(), RECORDS, "{said}");
        assert_eq!(count("records"), RECORDS, "{said}");
        assert_eq!(count("unknown"), 0, "{said}");
        let people = self.world.simulator.totals().people - before;
        assert_eq!(count("accepted"), people, "{said}");
        let rejects = std::fs::read_to_string(self.folder.join("rejects")).unwrap();
        let rejects: Vec<_> = rejects.lines().map(parsed).collect();
        assert_eq!(rejects.len() as u64, count("rejected"), "{said}");
        match run.code {
            5 => {
                let next = "cio-import: interrupted; the same command takes up what was not sent";
                assert!(run.stderr.contains(next), "{said}");
            }
            _ => {
                assert_eq!(run.code, 3, "{said}");
                assert_eq!(count("not_sent"), 0, "{said}");
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

/// Lets real time pass for a process of its own.
fn pause(time: Duration) {
    let (_open, never) = mpsc::channel::<()>();
    assert!(never.recv_timeout(time).is_err());
}

fn check_at_random_times(name: &str, seed: u64) {
    let world = World::new();
    let mut random = StdRng::seed_from_u64(seed);
    let mut stopped = 0;
    for time in 0..TIMES {
        let met = Met::new(&world, &format!("{name}{time}"));
        let before = world.simulator.totals().people;
        let after = Duration::from_millis(random.random_range(0..1500));
        let run = met.run(name, after);
        stopped += u64::from(met.check(&run, before));
        if time == TIMES - 1 {
            finish(met.command(), b"").check(3, "");
            let people = world.simulator.totals().people - before;
            assert_eq!(people, RECORDS / 10 * 9, "the same command sends the rest");
        }
    }
    assert!(stopped > 0, "each run came to its end before its signal");
}

#[test]
fn sigint_at_any_time_leaves_whole_files() {
    check_at_random_times("INT", 1);
}

#[test]
fn sigterm_at_any_time_leaves_whole_files() {
    check_at_random_times("TERM", 2);
}

#[test]
fn sighup_at_any_time_leaves_whole_files() {
    check_at_random_times("HUP", 3);
}

/// Accepts one request, says so, and answers it when it is told to, or never.
fn held() -> (u16, mpsc::Receiver<()>, mpsc::Sender<()>) {
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
            // A run that was stopped has closed the connection.
            let _ = stream.write_all(answer);
        }
    });
    (port, arrived, release)
}

/// Reads the standard error up to a line that holds `text`.
fn said(child: &mut Child, text: &str) -> BufReader<std::process::ChildStderr> {
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains(text) {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "{said}");
    }
    stderr
}

/// Starts a run of one record and waits until its request has left.
fn started(world: &World, port: u16) -> Child {
    let file = world.file("a.csv", "id\n1\n");
    let line = format!(
        "people {} --id-column id --report {} --base-url http://127.0.0.1:{port}",
        file.display(),
        world.folder.path().join("report.json").display()
    );
    with_credentials(with_hangups(&line)).spawn().unwrap()
}

#[test]
fn a_second_signal_of_whatever_kind_waits_for_nothing() {
    for signals in [["TERM", "HUP"], ["INT", "TERM"], ["HUP", "INT"]] {
        let world = World::new();
        let (port, arrived, _release) = held();
        let mut child = started(&world, port);
        arrived.recv().unwrap();
        signal(&child, &signals[..1]);
        let _stderr = said(&mut child, "finishing 1 request in flight; a second signal");
        // Signals that come together are one.
        pause(Duration::from_millis(300));
        signal(&child, &signals[1..]);
        let code = child.wait().unwrap().code();
        assert_eq!(code, Some(5), "{signals:?}");
        world.check_report([1, 0, 0, 1, 0]);
        assert_eq!(world.report()["requests"], 1, "{signals:?}: it was waited");
    }
}

#[test]
fn signals_that_come_together_are_one() {
    for signals in [["TERM", "TERM"], ["HUP", "HUP"], ["TERM", "HUP"]] {
        let world = World::new();
        let (port, arrived, release) = held();
        let mut child = started(&world, port);
        arrived.recv().unwrap();
        signal(&child, &signals);
        let _stderr = said(&mut child, "finishing 1 request in flight");
        pause(Duration::from_millis(300));
        release.send(()).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(5), "{signals:?}");
        world.check_report([1, 1, 0, 0, 0]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_under_nohup_outlives_the_terminal() {
    let world = World::new();
    let mut command = Command::new("sh");
    let line = format!(
        "people {} --id-column playerID --no-journal --limit 30/1s --base-url {} -vv",
        data("people.csv"),
        world.url()
    );
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
    command.arg(Path::new(env!("CARGO_BIN_EXE_cio-import")));
    command.args(line.split_whitespace());
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let mut child = with_credentials(command).spawn().unwrap();
    let mut stderr = said(&mut child, "is settled");
    signal(&child, &["HUP"]);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest}");
    assert_eq!(world.simulator.totals().people, 20_093);
}
