//! What the program does while the server does nothing for it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use customerio_sim::{Script, Server, Simulator, Step};

use crate::world::{Run, World, bare, ended, finish};

fn people(count: u32) -> String {
    let people: String = (0..count).map(|n| format!("u{n},n{n}\n")).collect();
    format!("id,name\n{people}")
}

#[test]
fn a_429_without_a_time_is_waited_out() {
    let world = World::with(Simulator::builder().script(Script::new([429; 4])));
    let file = world.file("a.csv", people(40));
    let line = format!("people {} --id-column id --batch-items 10", file.display());
    let run = world.run(&line);
    run.check(0, "waiting since 20");
    run.check(0, "the server answers with status 429");
    run.check(0, "the server takes requests again");
    world.check_report([40, 40, 0, 0, 0]);
    assert_eq!(world.simulator.totals().people, 40);
}

#[test]
fn a_429_without_a_time_is_told_while_a_request_waits_for_its_next_attempt() {
    let world = World::with(Simulator::builder().script(Script::new([429; 2])));
    let file = world.file("a.csv", people(10));
    let run = world.run(&format!("people {} --id-column id", file.display()));
    run.check(0, "the server answers with status 429; for 1 h at most");
}

#[test]
fn a_server_that_fails_for_all_is_waited_out_without_halving() {
    for status in [500, 503] {
        let world = World::with(Simulator::builder().script(Script::new([status; 9])));
        let file = world.file("a.csv", people(40));
        let line = format!("people {} --id-column id --batch-items 10", file.display());
        let said = format!("the server answers with status {status}");
        world.run(&line).check(0, &said);
        world.check_report([40, 40, 0, 0, 0]);
        assert_eq!(world.report()["requests"], 9 + 4);
    }
}

#[test]
fn a_server_that_refuses_connections_for_a_while_is_waited_for() {
    let world = World::new();
    let file = world.file("a.csv", people(40));
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let line = format!("people {} --id-column id --batch-items 10", file.display());
    let mut child = command_to(address.port(), &line).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("no request gets through") {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "{said}");
    }
    let simulator = Simulator::builder().build();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::bind(address, simulator.clone()));
    stderr.read_to_string(&mut said).unwrap();
    let run = ended(child.wait_with_output().unwrap());
    drop(server.unwrap());
    assert_eq!(run.code, 0, "{said}");
    assert!(said.contains("the server takes requests again"), "{said}");
    assert!(
        run.stdout.contains("40 accepted, 0 rejected"),
        "{}",
        run.stdout
    );
    assert_eq!(simulator.totals().people, 40);
}

#[test]
fn the_end_of_the_patience_stops_the_run_and_the_next_one_sends_the_rest() {
    let steps = [200].into_iter().chain([503; 12]).map(Step::from);
    let world = World::with(Simulator::builder().script(Script::new(steps)));
    let file = world.file("a.csv", people(40));
    let line = format!("people {} --id-column id --batch-items 10", file.display());
    world.run(&format!("{line} --patience 1s")).check(
        5,
        "the server answers with status 503; --patience TIME waits longer",
    );
    assert_eq!(world.report()["accepted"], 10);
    world.run(&line).check(0, "");
    assert_eq!(world.simulator.totals().people, 40);
}

/// Runs the program against a port of the loopback.
pub(crate) fn to(port: u16, line: &str) -> Run {
    finish(command_to(port, line), b"")
}

fn command_to(port: u16, line: &str) -> Command {
    let mut command = bare(&format!("{line} --base-url http://127.0.0.1:{port}"));
    command
        .env("CUSTOMERIO_SITE_ID", "site")
        .env("CUSTOMERIO_TRACK_API_KEY", "key-of-the-test");
    command
}

/// Serves requests of HTTP/1.1, each with what `answer` says to its body. It ends with the process.
pub(crate) fn serve(answer: impl Fn(&str) -> &'static str + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = answer.clone();
            // The client closes when it has enough.
            thread::spawn(move || serve_one(stream.unwrap(), answer).is_ok());
        }
    });
    port
}

fn serve_one(stream: TcpStream, answer: impl Fn(&str) -> &'static str) -> std::io::Result<()> {
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
        let head = answer(&String::from_utf8(body).unwrap());
        write!(writer, "HTTP/1.1 {head}\r\ncontent-length: 2\r\n\r\n{{}}")?;
    }
}

#[test]
fn the_one_record_that_breaks_the_server_takes_no_other_with_it() {
    let port = serve(|body| match body.contains(r#""id":"u7""#) {
        true => "500 Internal Server Error",
        false => "200 OK",
    });
    let world = World::new();
    let file = world.file("a.csv", people(40));
    let rejects = world.folder.path().join("rejects");
    let line = format!(
        "people {} --id-column id --batch-items 10 --rejects {}",
        file.display(),
        rejects.display()
    );
    to(port, &line).check(3, "a.csv:9: it may have been applied (status 500)");
    check_lines(&rejects, &[9]);
}

#[test]
fn waits_that_a_server_asks_for_are_told_and_bounded_in_sum() {
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
        let world = World::new();
        let file = world.file("a.csv", people(5));
        let line = format!(
            "people {} --id-column id --mode single --concurrency 1 --patience 3s",
            file.display()
        );
        let run = to(port, &line);
        run.check(5, "server asked to wait until 20");
        run.check(5, field);
        let totals = format!("{accepted} accepted, 0 rejected, {unknown} unknown");
        assert!(run.stdout.contains(&totals), "{}{}", run.stdout, run.stderr);
    }
}

#[test]
fn what_was_only_throttled_is_not_sent_when_the_patience_ends() {
    let port = serve(|_| "429 Busy");
    let world = World::new();
    let file = world.file("a.csv", people(5));
    let line = format!("people {} --id-column id --patience 2s", file.display());
    let run = to(port, &line);
    run.check(5, "the server answers with status 429");
    let totals = "0 accepted, 0 rejected, 0 unknown, 5 not sent";
    assert!(run.stdout.contains(totals), "{}{}", run.stdout, run.stderr);
}

#[test]
fn waits_that_a_server_asks_for_are_waited_where_they_are_short() {
    let throttled = Arc::new(AtomicBool::new(false));
    let port = serve(move |_| match throttled.swap(true, Relaxed) {
        true => "200 OK",
        false => "429 Busy\r\nretry-after: 2",
    });
    let world = World::new();
    let file = world.file("a.csv", people(5));
    let line = format!("people {} --id-column id --mode single", file.display());
    let run = to(port, &line);
    run.check(0, "server asked to wait until 20");
    run.check(0, "(Retry-After)");
}

fn check_lines(rejects: &Path, expected: &[u64]) {
    let text = std::fs::read_to_string(rejects).unwrap();
    let line =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["line"].as_u64();
    let lines: Option<Vec<_>> = text.lines().map(line).collect();
    assert_eq!(lines.unwrap(), expected);
}
