use std::io::Write;
use std::process::Command;

use customerio_sim::{Limit, Model, Simulator};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::fixture::{Fixture, bare, data, ended, finish};

#[test]
fn a_rehearsal_sends_everyone_without_credentials_and_leaves_no_journal() {
    let fixture = Fixture::new();
    let people = fixture.file("people.csv", std::fs::read(data("people.csv")).unwrap());
    let report = fixture.folder.path().join("report.json");
    let line = format!(
        "people {} --id-column playerID --rehearse",
        people.display()
    );
    for _ in 0..2 {
        let mut command = bare(&line);
        command.arg("--report").arg(&report);
        let run = finish(command, b"");
        run.check(0, "");
        assert!(
            run.stdout
                .contains("20093 records: 20093 accepted, 0 rejected, 0 unknown, 0 not sent")
        );
        fixture.check_report([20_093, 20_093, 0, 0, 0]);
        assert_eq!(fixture.report()["throttled"], 0);
    }
    assert_eq!(fixture.simulator.totals().requests, 0);
}

#[test]
fn everyone_arrives_in_batches_within_the_limit() {
    let limit = Limit::parse("100/1s").unwrap().model(Model::SlidingCounter);
    let fixture = Fixture::with(Simulator::builder().limit(limit));
    let line = format!(
        "people {} --id-column playerID --no-journal --limit 100/1s",
        data("people.csv")
    );
    fixture.run(&line).check(0, "");
    fixture.check_report([20_093, 20_093, 0, 0, 0]);
    let (report, totals) = (fixture.report(), fixture.simulator.totals());
    assert_eq!((totals.people, totals.throttled), (20_093, 0));
    assert_eq!(report["requests"], totals.requests);
    assert!(totals.requests < 60, "{}", totals.requests);
}

#[test]
fn attributes_arrive_as_text_and_empty_cells_do_not() {
    let fixture = Fixture::new();
    let line = format!(
        "people {} --id-column playerID --no-journal",
        data("people.csv")
    );
    fixture.run(&line).check(0, "");
    let person = fixture.simulator.person("aardsda01").unwrap();
    assert_eq!(person.attributes["birthYear"], "1981");
    assert!(!person.attributes.contains_key("deathYear"));
    assert!(!person.attributes.contains_key("playerID"));
}

#[test]
fn mode_single_sends_one_record_per_request() {
    let fixture = Fixture::new();
    let file = fixture.file(
        "a.jsonl",
        "{\"id\":1,\"n\":2}\n{\"id\":\"b\"}\n{\"id\":\"c\",\"n\":null}\n",
    );
    fixture
        .run(&format!(
            "people {} --id-column id --mode single",
            file.display()
        ))
        .check(0, "");
    assert_eq!(fixture.report()["requests"], 3);
    assert_eq!(fixture.simulator.totals().people, 3);
    assert_eq!(fixture.simulator.person("1").unwrap().attributes["n"], 2);
}

#[test]
fn the_standard_input_is_read_as_a_stream() {
    let fixture = Fixture::new();
    let run = finish(
        fixture.command("people - --format csv --id-column id"),
        b"id,a\n1,x\n2,y\n",
    );
    run.check(0, "");
    assert!(
        run.stdout
            .contains("standard input: records of people, not counted"),
        "{}",
        run.stdout
    );
    fixture.check_report([2, 2, 0, 0, 0]);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_read_as_a_stream_and_leaves_no_journal() {
    let fixture = Fixture::new();
    let pipe = fixture.folder.path().join("a.csv");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let child = fixture
        .command(&format!("people {} --id-column id", pipe.display()))
        .spawn()
        .unwrap();
    std::fs::write(&pipe, "id\n1\n2\n").unwrap();
    ended(child.wait_with_output().unwrap()).check(0, "");
    fixture.check_report([2, 2, 0, 0, 0]);
    assert!(!fixture.folder.path().join("a.csv.cio-journal").exists());
}

#[test]
fn a_compressed_file_is_the_same_import() {
    let fixture = Fixture::new();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"p,n\n1,won\n1,won\n").unwrap();
    let packed = fixture.file("b.csv.gz", encoder.finish().unwrap());
    let plain = fixture.file("a.csv", "p,n\n1,won\n1,won\n");
    for file in [plain, packed] {
        let line = format!(
            "events {} --person-column p --name-column n --now --yes",
            file.display()
        );
        fixture.run(&line).check(0, "");
    }
    assert_eq!(
        (
            fixture.simulator.totals().events,
            fixture.simulator.totals().duplicate_events
        ),
        (2, 2)
    );
}

#[test]
fn a_closed_pipe_on_the_standard_output_is_no_error() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", "id\n1\n");
    let mut command = fixture.command(&format!("people {} --id-column id", file.display()));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = command.stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
    fixture.check_report([1, 1, 0, 0, 0]);
}
