//! Waiting for a server that throttles, fails or cannot be reached.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use customerio_sim::{Server, Simulator, Step};

use crate::fixture::{Fixture, Run, bare, ended, finish, rejects, script};

fn people(count: u32) -> String {
    let people: String = (0..count).map(|n| format!("u{n},n{n}\n")).collect();
    format!("id,name\n{people}")
}

#[test]
fn the_run_waits_after_a_429_without_a_time() {
    let fixture = Fixture::with(Simulator::builder().script(script([429; 4])));
    let file = fixture.file("a.csv", people(40));
    let line = format!("people {} --id-column id --batch-items 10", file.display());
    let run = fixture.run(&line);
    run.check(0, "waiting since 20");
    run.check(0, "the server answers with status 429");
    run.check(0, "the server accepts requests again");
    fixture.check_report([40, 40, 0, 0, 0]);
    assert_eq!(fixture.simulator.totals().people, 40);
}

#[test]
fn the_wait_after_a_429_without_a_time_is_shown_before_the_next_attempt() {
    let fixture = Fixture::with(Simulator::builder().script(script([429; 2])));
    let file = fixture.file("a.csv", people(10));
    let run = fixture.run(&format!("people {} --id-column id", file.display()));
    run.check(
        0,
        "the server answers with status 429; for at most 1 h in total",
    );
}

#[test]
fn the_run_waits_for_a_failing_server_without_splitting_batches() {
    let check = |status: u16| {
        let fixture = Fixture::with(Simulator::builder().script(script([status; 9])));
        let file = fixture.file("a.csv", people(40));
        let line = format!("people {} --id-column id --batch-items 10", file.display());
        let message = format!("the server answers with status {status}");
        fixture.run(&line).check(0, &message);
        fixture.check_report([40, 40, 0, 0, 0]);
        assert_eq!(fixture.report()["requests"], 9 + 4);
    };
    // Side by side: both wait.
    thread::scope(|scope| {
        scope.spawn(|| check(500));
        check(503);
    });
}

#[test]
fn the_run_waits_for_a_server_that_refuses_connections() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", people(40));
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let line = format!("people {} --id-column id --batch-items 10", file.display());
    let mut child = command_to(address.port(), &line).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut message = String::new();
    while !message.contains("no request gets an answer") {
        assert_ne!(stderr.read_line(&mut message).unwrap(), 0, "{message}");
    }
    let simulator = Simulator::builder().build();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::bind(address, simulator.clone()));
    stderr.read_to_string(&mut message).unwrap();
    let run = ended(child.wait_with_output().unwrap());
    drop(server.unwrap());
    assert_eq!(run.code, 0, "{message}");
    assert!(
        message.contains("the server accepts requests again"),
        "{message}"
    );
    assert!(
        run.stdout.contains("40 accepted, 0 rejected"),
        "{}",
        run.stdout
    );
    assert_eq!(simulator.totals().people, 40);
}

#[test]
fn max_wait_stops_the_run_and_the_next_one_sends_the_rest() {
    let steps = [Step::pass()].into_iter().chain([503; 12].map(Step::from));
    let fixture = Fixture::with(Simulator::builder().script(script(steps)));
    let file = fixture.file("a.csv", people(40));
    let line = format!("people {} --id-column id --batch-items 10", file.display());
    fixture.run(&format!("{line} --max-wait 1s")).check(
        5,
        "the server answers with status 503; to send the rest, run the same command again",
    );
    assert_eq!(fixture.report()["accepted"], 10);
    fixture.run(&line).check(0, "");
    assert_eq!(fixture.simulator.totals().people, 40);
}

/// Runs the program against a port of the loopback.
pub(crate) fn run_to(port: u16, line: &str) -> Run {
    finish(command_to(port, line), b"")
}

pub(crate) fn command_to(port: u16, line: &str) -> Command {
    let mut command = bare(&format!("{line} --base-url http://127.0.0.1:{port}"));
    if !line.contains("--yes") {
        command.arg("--yes");
    }
    command
        .env("CUSTOMERIO_SITE_ID", "site")
        .env("CUSTOMERIO_TRACK_API_KEY", "key-of-the-test");
    command
}

/// Serves HTTP/1.1 until the process ends. `answer` gets the body of a request and returns the head
/// of the answer.
pub(crate) fn serve(answer: impl Fn(&str) -> &'static str + Clone + Send + 'static) -> u16 {
    serve_with(move |body| (answer(body), "{}".to_owned()))
}

/// Serves as [`serve`] does. `answer` returns the status line and the body of the answer.
pub(crate) fn serve_with(
    answer: impl Fn(&str) -> (&'static str, String) + Clone + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = answer.clone();
            // Fails when the client closes the connection.
            thread::spawn(move || serve_one(stream.unwrap(), answer).is_ok());
        }
    });
    port
}

fn serve_one(
    stream: TcpStream,
    answer: impl Fn(&str) -> (&'static str, String),
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (head, body) = answer(&String::from_utf8(body).unwrap());
        let length = body.len();
        write!(
            writer,
            "HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}"
        )?;
    }
}

#[test]
fn a_record_that_makes_the_server_fail_costs_no_other_record() {
    let port = serve(|body| match body.contains(r#""id":"u7""#) {
        true => "500 Internal Server Error",
        false => "200 OK",
    });
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", people(40));
    let path = fixture.folder.path().join("rejects");
    let line = format!(
        "people {} --id-column id --batch-items 10 --rejects {}",
        file.display(),
        path.display()
    );
    run_to(port, &line).check(
        3,
        "a.csv:9: unknown: the record may have been applied (status 500)",
    );
    check_rejects(&path, &[9]);
}

#[test]
fn requested_waits_are_shown_and_bounded_in_total() {
    let rows = [
        (
            "503 Busy\r\nretry-after: 99999999999",
            "(Retry-After)",
            [0, 1],
        ),
        (
            "200 OK\r\ndate: Wed, 25 Nov 2026 00:00:30 GMT\r\nx-ratelimit-limit: 100000\r\n\
             x-ratelimit-remaining: 0\r\nx-ratelimit-reset: 99999999999",
            "(X-RateLimit-Remaining)",
            [1, 0],
        ),
        (
            "200 OK\r\nratelimit-limit: 100000\r\nratelimit-remaining: 0\r\nratelimit-reset: 2",
            "(RateLimit-Remaining)",
            [2, 0],
        ),
    ];
    for (answer, field, [accepted, unknown]) in rows {
        let port = serve(move |_| answer);
        let fixture = Fixture::new();
        let file = fixture.file("a.csv", people(5));
        let line = format!(
            "people {} --id-column id --mode single --concurrency 1 --max-wait 3s --no-journal",
            file.display()
        );
        let run = run_to(port, &line);
        run.check(5, "waiting until 20");
        run.check(5, field);
        let totals = format!("{accepted} accepted, 0 rejected, {unknown} unknown");
        assert!(run.stdout.contains(&totals), "{}{}", run.stdout, run.stderr);
    }
}

#[test]
fn records_that_were_only_throttled_are_not_sent_after_max_wait() {
    let port = serve(|_| "429 Busy");
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", people(5));
    let line = format!(
        "people {} --id-column id --max-wait 2s --no-journal",
        file.display()
    );
    let run = run_to(port, &line);
    run.check(5, "the server answers with status 429");
    let totals = "0 accepted, 0 rejected, 0 unknown, 5 not sent";
    assert!(run.stdout.contains(totals), "{}{}", run.stdout, run.stderr);
}

#[test]
fn the_run_waits_for_a_short_requested_wait() {
    let throttled = Arc::new(AtomicBool::new(false));
    let port = serve(move |_| match throttled.swap(true, Relaxed) {
        true => "200 OK",
        false => "429 Busy\r\nretry-after: 2",
    });
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", people(5));
    let line = format!(
        "people {} --id-column id --mode single --no-journal",
        file.display()
    );
    let run = run_to(port, &line);
    run.check(0, "waiting until 20");
    run.check(0, "(Retry-After)");
}

fn check_rejects(path: &Path, expected: &[u64]) {
    let lines = rejects(path).into_iter().map(|row| row["_line"].parse());
    assert_eq!(lines.collect::<Result<Vec<u64>, _>>().unwrap(), expected);
}
