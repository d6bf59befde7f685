use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::fixture::{API_KEY, Fixture, SITE_ID, data, signal, with_hangups};

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
        "people {} --id-column id --yes --no-journal --report {} --base-url http://127.0.0.1:{port}",
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
