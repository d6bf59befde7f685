use std::io::Write;
use std::process::Command;

use customerio_sim::{Limit, Model, Simulator};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::world::{World, bare, data, ended, finish};

#[test]
fn a_rehearsal_sends_everyone_without_credentials_and_marks_nothing_as_done() {
    let world = World::new();
    let people = world.file("people.csv", std::fs::read(data("people.csv")).unwrap());
    let report = world.folder.path().join("report.json");
    let line = format!(
        "people {} --id-column playerID --rehearse",
        people.display()
    );
    for _ in 0..2 {
        let mut command = bare(&line);
        command.arg("--report").arg(&report);
        let run = finish(command, b"");
        // Which batch is settled last, and so whether a line comes at the very end, is open.
        run.check(0, " of 20093 records: ");
        assert!(
            run.stdout
                .contains("20093 records: 20093 accepted, 0 rejected, 0 unknown, 0 not sent")
        );
        world.check_report([20_093, 20_093, 0, 0, 0]);
        assert_eq!(world.report()["throttled"], 0);
    }
    assert_eq!(world.simulator.totals().requests, 0);
}

#[test]
fn everyone_arrives_in_batches_within_the_limit() {
    let limit = Limit::parse("100/1s").unwrap().model(Model::SlidingCounter);
    let world = World::with(Simulator::builder().limit(limit));
    let line = format!(
        "people {} --id-column playerID --no-journal --limit 100/1s",
        data("people.csv")
    );
    world.run(&line).check(0, "");
    world.check_report([20_093, 20_093, 0, 0, 0]);
    let (report, books) = (world.report(), world.simulator.totals());
    assert_eq!((books.people, books.throttled), (20_093, 0));
    assert_eq!(report["requests"], books.requests);
    assert!(books.requests < 60, "{}", books.requests);
}

#[test]
fn attributes_arrive_as_text_and_empty_cells_do_not() {
    let world = World::new();
    let line = format!(
        "people {} --id-column playerID --no-journal",
        data("people.csv")
    );
    world.run(&line).check(0, "");
    let person = world.simulator.person("aardsda01").unwrap();
    assert_eq!(person.attributes["birthYear"], "1981");
    assert!(!person.attributes.contains_key("deathYear"));
    assert!(!person.attributes.contains_key("playerID"));
}

#[test]
fn one_request_a_record_where_that_is_asked_for() {
    let world = World::new();
    let file = world.file(
        "a.jsonl",
        "{\"id\":1,\"n\":2}\n{\"id\":\"b\"}\n{\"id\":\"c\",\"n\":null}\n",
    );
    world
        .run(&format!(
            "people {} --id-column id --mode single",
            file.display()
        ))
        .check(0, "");
    assert_eq!(
        (
            world.simulator.totals().requests,
            world.simulator.totals().people
        ),
        (3, 3)
    );
    assert_eq!(world.simulator.person("1").unwrap().attributes["n"], 2);
}

#[test]
fn the_standard_input_is_read_as_it_comes() {
    let world = World::new();
    let run = finish(
        world.command("people - --format csv --id-column id"),
        b"id,a\n1,x\n2,y\n",
    );
    run.check(0, "");
    assert!(
        run.stdout
            .contains("standard input: records of people, as many as come"),
        "{}",
        run.stdout
    );
    world.check_report([2, 2, 0, 0, 0]);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_read_as_it_comes_and_leaves_no_journal() {
    let world = World::new();
    let pipe = world.folder.path().join("a.csv");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let child = world
        .command(&format!("people {} --id-column id", pipe.display()))
        .spawn()
        .unwrap();
    std::fs::write(&pipe, "id\n1\n2\n").unwrap();
    ended(child.wait_with_output().unwrap()).check(0, "");
    world.check_report([2, 2, 0, 0, 0]);
    assert!(!world.folder.path().join("a.csv.cio-journal").exists());
}

#[test]
fn a_compressed_file_is_the_same_import() {
    let world = World::new();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"p,n\n1,won\n1,won\n").unwrap();
    let packed = world.file("b.csv.gz", encoder.finish().unwrap());
    let plain = world.file("a.csv", "p,n\n1,won\n1,won\n");
    for file in [plain, packed] {
        let line = format!(
            "events {} --person-column p --name-column n --now --yes",
            file.display()
        );
        world.run(&line).check(0, "");
    }
    assert_eq!(
        (
            world.simulator.totals().events,
            world.simulator.totals().duplicate_events
        ),
        (2, 2)
    );
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let world = World::new();
    let file = world.file("a.csv", "id\n1\n");
    let mut command = world.command(&format!("people {} --id-column id", file.display()));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = command.stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
    world.check_report([1, 1, 0, 0, 0]);
}
