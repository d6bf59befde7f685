use std::io::{BufRead, BufReader, Read};

use customerio_sim::{Script, Simulator};

#[cfg(unix)]
use crate::world::signal;
use crate::world::{Run, World, bare, data, ended, finish};

#[test]
fn refused_credentials_stop_the_run() {
    let world = World::with(Simulator::builder().credentials("another", "pair"));
    let line = format!(
        "people {} --id-column playerID --no-journal",
        data("people.csv")
    );
    world.run(&line).check(
        4,
        "the API refused the credentials; check CUSTOMERIO_SITE_ID",
    );
    world.check_report([20_093, 0, 0, 0, 20_093]);
}

#[test]
fn credentials_that_are_refused_later_keep_what_was_accepted() {
    let world = World::with(Simulator::builder().script(Script::new([200, 403])));
    let file = world.file("a.csv", "id\n1\n2\n3\n");
    let line = format!(
        "people {} --id-column id --mode single --concurrency 1",
        file.display()
    );
    world.run(&line).check(4, "the API refused the credentials");
    world.check_report([3, 1, 0, 0, 2]);
    world.run(&line).check(0, "");
    world.check_report([3, 3, 0, 0, 0]);
}

#[test]
fn a_server_that_is_not_there_stops_the_run() {
    let world = World::new();
    let file = world.file("a.csv", "id\n1\n2\n");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let line = format!("people {} --id-column id --patience 1s", file.display());
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
        "cio-import: the run may wait for 1.0 s (--patience), and that is over: no request gets through; check the network and \
         the address: ",
    );
    assert!(
        !run.stderr.contains("a.csv:2"),
        "told record by record: {}",
        run.stderr
    );
}

#[test]
fn a_proxy_of_the_environment_is_used_unless_the_way_is_the_loopback() {
    let world = World::new();
    let file = world.file("a.csv", "id\n1\n");
    let check = |base_url: &str, code, said| {
        let line = format!("people {} --id-column id --no-journal", file.display());
        let mut command = bare(&format!("{line} --patience 0s --base-url {base_url}"));
        command.env("HTTPS_PROXY", "socks5://127.0.0.1:9");
        command.env("CUSTOMERIO_SITE_ID", "s");
        command.env("CUSTOMERIO_TRACK_API_KEY", "k");
        finish(command, b"").check(code, said);
    };
    check(
        "https://track.example.com",
        1,
        "HTTPS_PROXY is not a proxy that can be used",
    );
    check("https://localhost:9", 5, "no request gets through");
    check(&world.url(), 0, "");
}

#[test]
fn a_server_that_has_no_such_page_stops_the_run() {
    let world = World::with(Simulator::builder().script(Script::new([404; 400])));
    let ids: String = (1..=300).map(|id| format!("{id}\n")).collect();
    let file = world.file("a.csv", format!("id\n{ids}"));
    let line = format!(
        "people {} --id-column id --mode single --concurrency 1",
        file.display()
    );
    world.run(&line).check(
        5,
        "cio-import: 100 requests in a row without a word about a record, status 404 at last; check the base URL",
    );
    world.check_report([300, 0, 100, 0, 200]);
}

#[test]
fn a_run_in_which_nothing_was_accepted_is_sent_again() {
    let world = World::with(Simulator::builder().script(Script::new([404])));
    let file = world.file("a.csv", "id\n1\n2\n");
    let line = format!("people {} --id-column id", file.display());
    world
        .run(&line)
        .check(3, "cio-import: the API accepted nothing");
    world.check_report([2, 0, 2, 0, 0]);
    world.run(&line).check(0, "");
    world.check_report([2, 2, 0, 0, 0]);
}

/// Answers 400 to everything, as to the key of another product.
fn refusing() -> (World, String) {
    let world = World::with(Simulator::builder().script(Script::new([400; 400])));
    let ids: String = (1..=300).map(|id| format!("{id}\n")).collect();
    let file = world.file("a.csv", format!("id\n{ids}"));
    let line = format!("people {} --id-column id", file.display());
    (world, line)
}

#[test]
fn a_server_that_rejects_everything_stops_the_run_early_and_the_next_one_sends_all() {
    let (world, line) = refusing();
    let line = format!("{line} --mode single");
    world.run(&line).check(
        5,
        "cio-import: the API rejected the first 100 records, with status 400, all for the same reason",
    );
    world.check_report([300, 0, 100, 0, 200]);
    // Until the server is itself again.
    world
        .run(&format!("{line} --keep-going"))
        .check(3, "accepted nothing");
    world.check_report([300, 0, 300, 0, 0]);
    world.run(&line).check(0, "");
    world.check_report([300, 300, 0, 0, 0]);
    assert_eq!(world.simulator.totals().people, 300);
}

#[test]
fn a_batch_that_is_refused_to_its_last_record_stops_the_run() {
    let (world, line) = refusing();
    world
        .run(&format!("{line} --batch-items 100"))
        .check(5, "the API rejected the first 100 records");
    world.check_report([300, 0, 100, 0, 200]);
    assert_eq!(world.report()["requests"], 199);
}

#[test]
fn an_input_that_breaks_on_the_way_stops_the_run_and_settles_what_was_sent() {
    let world = World::new();
    let command = world.command("people - --format csv --id-column id --batch-items 1");
    let input = format!("id,a\n1,x\n2,y\n3,\"{}", "never closed\n".repeat(100_000));
    finish(command, input.as_bytes()).check(
        5,
        r#"line 4: column "a": the quote that opens here is never closed"#,
    );
    let report = world.report();
    assert_eq!(
        (&report["records"], &report["rejected"]),
        (&2.into(), &0.into())
    );
    assert_eq!(report["accepted"], world.simulator.totals().people);
}

#[cfg(unix)]
#[test]
fn ctrl_c_before_the_first_request_leaves_nothing_behind() {
    let world = World::new();
    // Long enough to be looked ahead at while the signal is on its way.
    let file = world.file("a.csv", format!("id\n{}", "1\n".repeat(2_000_000)));
    let line = format!("people {} --id-column id", file.display());
    let child = world.command(&line).spawn().unwrap();
    let journal = world.folder.path().join("a.csv.cio-journal");
    while !journal.exists() {
        std::thread::yield_now();
    }
    signal(&child, &["INT"]);
    let run = ended(child.wait_with_output().unwrap());
    run.check(5, "cio-import: interrupted; nothing was sent");
    assert_eq!(run.stdout, "", "no plan was told");
    let left: Vec<_> = std::fs::read_dir(world.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["a.csv"]);
    assert_eq!(world.simulator.totals().requests, 0);
}

/// Runs the program, which must be verbose, and presses Ctrl-C after the first request is settled.
#[cfg(unix)]
fn interrupted_once_settled(world: &World, line: &str) -> Run {
    let mut child = world.command(line).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("is settled") {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "{said}");
    }
    signal(&child, &["INT"]);
    stderr.read_to_string(&mut said).unwrap();
    let mut run = ended(child.wait_with_output().unwrap());
    run.stderr = said;
    run
}

#[cfg(unix)]
#[test]
fn ctrl_c_does_not_wait_for_requests_that_wait_for_their_turn() {
    let world = World::new();
    let line = format!(
        "people {} --id-column playerID --no-journal --mode single --limit 10/10m -vvv",
        data("people.csv")
    );
    let run = interrupted_once_settled(&world, &line);
    run.check(5, "cio-import: interrupted");
    let report = world.report();
    assert_eq!(report["accepted"], world.simulator.totals().people);
    assert_eq!(report["unknown"], 0);
    // The next turn comes after a minute, the thirty-second one after half an hour.
    let elapsed = report["elapsed_seconds"].as_f64().unwrap();
    assert!(elapsed < 60.0, "{elapsed}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_finishes_what_is_in_flight_and_says_what_was_not_sent() {
    let world = World::new();
    let line = format!(
        "people {} --id-column playerID --no-journal",
        data("people.csv")
    );
    let run = interrupted_once_settled(&world, &format!("{line} --mode single --limit 20/1s -vvv"));

    run.check(5, "cio-import: interrupted");
    let report = world.report();
    assert_eq!(report["records"], 20_093);
    assert_eq!(report["accepted"], world.simulator.totals().people);
    assert_eq!(
        (&report["rejected"], &report["unknown"]),
        (&0.into(), &0.into())
    );
    assert!(report["not_sent"].as_u64().unwrap() > 19_000, "{report}");
}
