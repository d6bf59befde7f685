//! Runs that stop before the end of their input.

use std::io::{BufRead, BufReader, Read};

use customerio_sim::{Script, Simulator};

#[cfg(unix)]
use crate::fixture::signal;
use crate::fixture::{Fixture, Run, bare, data, ended, finish, script};

#[test]
fn rejected_credentials_stop_the_run() {
    let fixture = Fixture::with(Simulator::builder().credentials("another", "pair"));
    let line = format!(
        "people {} --id-column playerID --no-journal",
        data("people.csv")
    );
    fixture.run(&line).check(
        4,
        "the API rejected the credentials; check CUSTOMERIO_SITE_ID",
    );
    fixture.check_report([20_093, 0, 0, 0, 20_093]);
}

#[test]
fn records_accepted_before_the_credentials_are_rejected_stay_accepted() {
    let fixture = Fixture::with(Simulator::builder().script(script([200, 403])));
    let file = fixture.file("a.csv", "id\n1\n2\n3\n");
    let line = format!(
        "people {} --id-column id --mode single --concurrency 1",
        file.display()
    );
    fixture
        .run(&line)
        .check(4, "the API rejected the credentials");
    fixture.check_report([3, 1, 0, 0, 2]);
    fixture.run(&line).check(0, "");
    fixture.check_report([3, 3, 0, 0, 0]);
}

#[test]
fn a_server_that_cannot_be_reached_stops_the_run_after_max_wait() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", "id\n1\n2\n");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let line = format!(
        "people {} --id-column id --yes --max-wait 1s",
        file.display()
    );
    let mut command = bare(&line);
    command
        .env("CUSTOMERIO_SITE_ID", "s")
        .env("CUSTOMERIO_TRACK_API_KEY", "k");
    command
        .arg("--base-url")
        .arg(format!("http://127.0.0.1:{port}"));
    let run = finish(command, b"");
    run.check(
        5,
        "cio-import: stopped after 1.0 s of waiting for the server (--max-wait): no request gets an answer; check the \
         network and the address: ",
    );
    assert!(
        !run.stderr.contains("a.csv:2"),
        "reported record by record: {}",
        run.stderr
    );
}

#[test]
fn the_proxy_of_the_environment_is_used_except_for_the_loopback() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", "id\n1\n");
    let check = |base_url: &str, code, message| {
        let line = format!(
            "people {} --id-column id --yes --no-journal",
            file.display()
        );
        let mut command = bare(&format!("{line} --max-wait 0s --base-url {base_url}"));
        command.env("HTTPS_PROXY", "socks5://127.0.0.1:9");
        command.env("CUSTOMERIO_SITE_ID", "s");
        command.env("CUSTOMERIO_TRACK_API_KEY", "k");
        finish(command, b"").check(code, message);
    };
    check(
        "https://track.example.com",
        1,
        "HTTPS_PROXY is not a proxy that can be used",
    );
    check("https://localhost:9", 5, "no request gets an answer");
    check(&fixture.url(), 0, "");
}

#[test]
fn a_server_without_the_path_stops_the_run() {
    let fixture = Fixture::with(Simulator::builder().script(Script::new([404; 400])));
    let ids: String = (1..=300).map(|id| format!("{id}\n")).collect();
    let file = fixture.file("a.csv", format!("id\n{ids}"));
    let line = format!(
        "people {} --id-column id --mode single --concurrency 1",
        file.display()
    );
    fixture.run(&line).check(
        5,
        "cio-import: 100 requests in a row got no answer about any record; the last one got status 404; check the base URL",
    );
    fixture.check_report([300, 0, 100, 0, 200]);
}

#[test]
fn a_run_in_which_nothing_was_accepted_is_sent_again() {
    let fixture = Fixture::with(Simulator::builder().script(script([404])));
    let file = fixture.file("a.csv", "id\n1\n2\n");
    let line = format!("people {} --id-column id", file.display());
    fixture
        .run(&line)
        .check(3, "cio-import: the API accepted no record");
    fixture.check_report([2, 0, 2, 0, 0]);
    fixture.run(&line).check(0, "");
    fixture.check_report([2, 2, 0, 0, 0]);
}

/// Returns a server that answers 400 to everything, as to the key of another product.
fn rejecting() -> (Fixture, String) {
    let fixture = Fixture::with(Simulator::builder().script(Script::new([400; 402])));
    let ids: String = (1..=300).map(|id| format!("{id}\n")).collect();
    let file = fixture.file("a.csv", format!("id\n{ids}"));
    let line = format!("people {} --id-column id", file.display());
    (fixture, line)
}

#[test]
fn a_server_that_rejects_everything_stops_the_run_early_and_the_next_one_sends_all() {
    let (fixture, line) = rejecting();
    let line = format!("{line} --mode single");
    fixture.run(&line).check(
        5,
        "cio-import: the API rejected the first 100 records with status 400, all for the same reason",
    );
    fixture.check_report([300, 0, 100, 0, 200]);
    // 301 more answers of 400 are left in the script, one of them for the workspace.
    fixture
        .run(&format!("{line} --keep-going"))
        .check(3, "accepted no record");
    fixture.check_report([300, 0, 300, 0, 0]);
    fixture.run(&line).check(0, "");
    fixture.check_report([300, 300, 0, 0, 0]);
    assert_eq!(fixture.simulator.totals().people, 300);
}

#[test]
fn a_batch_whose_records_are_all_rejected_stops_the_run() {
    let (fixture, line) = rejecting();
    fixture
        .run(&format!("{line} --batch-items 100"))
        .check(5, "the API rejected the first 100 records");
    fixture.check_report([300, 0, 100, 0, 200]);
    assert_eq!(fixture.report()["requests"], 199);
}

#[test]
fn a_damaged_stream_stops_the_run_and_settles_the_records_sent() {
    let fixture = Fixture::new();
    let command = fixture.command("people - --format csv --id-column id --batch-items 1");
    let input = format!("id,a\n1,x\n2,y\n3,\"{}", "never closed\n".repeat(100_000));
    finish(command, input.as_bytes()).check(
        5,
        r#"line 4: column "a": the quote that opens here is never closed"#,
    );
    let report = fixture.report();
    assert_eq!(
        (&report["records"], &report["rejected"]),
        (&2.into(), &0.into())
    );
    assert_eq!(report["accepted"], fixture.simulator.totals().people);
}

#[cfg(unix)]
#[test]
fn ctrl_c_before_the_first_request_leaves_no_files() {
    let fixture = Fixture::new();
    // Large enough that the signal arrives during the scan.
    let file = fixture.file("a.csv", format!("id\n{}", "1\n".repeat(2_000_000)));
    let line = format!("people {} --id-column id", file.display());
    let child = fixture.command(&line).spawn().unwrap();
    let journal = fixture.folder.path().join("a.csv.cio-journal");
    while !journal.exists() {
        std::thread::yield_now();
    }
    signal(&child, &["INT"]);
    let run = ended(child.wait_with_output().unwrap());
    run.check(
        5,
        "cio-import: interrupted before the first request; nothing was sent",
    );
    assert_eq!(run.stdout, "", "no plan was printed");
    let left: Vec<_> = std::fs::read_dir(fixture.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["a.csv"]);
    assert_eq!(fixture.simulator.totals().requests, 0);
}

/// Runs the program, which must have `-vv`, and sends SIGINT after the first request is done.
#[cfg(unix)]
fn run_and_interrupt(fixture: &Fixture, line: &str) -> Run {
    let mut child = fixture.command(line).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut message = String::new();
    while !message.contains("request done") {
        assert_ne!(stderr.read_line(&mut message).unwrap(), 0, "{message}");
    }
    signal(&child, &["INT"]);
    stderr.read_to_string(&mut message).unwrap();
    let mut run = ended(child.wait_with_output().unwrap());
    run.stderr = message;
    run
}

#[cfg(unix)]
#[test]
fn ctrl_c_cancels_queued_requests() {
    let fixture = Fixture::new();
    let line = format!(
        "people {} --id-column playerID --no-journal --mode single --limit 10/10m -vvv",
        data("people.csv")
    );
    let run = run_and_interrupt(&fixture, &line);
    run.check(5, "cio-import: interrupted");
    let report = fixture.report();
    assert_eq!(report["accepted"], fixture.simulator.totals().people);
    assert_eq!(report["unknown"], 0);
    // The next request departs after a minute, the thirty-second one after half an hour.
    let elapsed = report["elapsed_seconds"].as_f64().unwrap();
    assert!(elapsed < 60.0, "{elapsed}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_finishes_the_requests_in_flight_and_counts_the_rest_as_not_sent() {
    let fixture = Fixture::new();
    let line = format!(
        "people {} --id-column playerID --no-journal",
        data("people.csv")
    );
    let run = run_and_interrupt(
        &fixture,
        &format!("{line} --mode single --limit 20/1s -vvv"),
    );

    run.check(5, "cio-import: interrupted");
    let report = fixture.report();
    assert_eq!(report["records"], 20_093);
    assert_eq!(report["accepted"], fixture.simulator.totals().people);
    assert_eq!(
        (&report["rejected"], &report["unknown"]),
        (&0.into(), &0.into())
    );
    assert!(report["not_sent"].as_u64().unwrap() > 19_000, "{report}");
}
