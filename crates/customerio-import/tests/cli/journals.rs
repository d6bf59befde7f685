//! What the journal of an import keeps from being sent twice, and when it is refused.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use customerio_sim::{Builder, Simulator, Step};

use crate::fixture::{API_KEY, Fixture, Run, SITE_ID, finish, rejects, script};
use crate::outages::{run_to, serve_with};

/// An import of 40 people, of whom 10, 20, 30 and 40 cannot be sent.
struct Import {
    fixture: Fixture,
    line: String,
}

impl Import {
    fn new() -> Self {
        Self::with(Vec::new())
    }

    /// The requests get the answers of these steps.
    fn with(steps: Vec<Step>) -> Self {
        Self::sized(40, steps)
    }

    fn sized(records: u32, steps: Vec<Step>) -> Self {
        Self::of(Simulator::builder().script(script(steps)), records)
    }

    fn of(simulator: Builder, records: u32) -> Self {
        let fixture = Fixture::with(simulator);
        let row = |n: u32| match n % 10 {
            0 => format!("..,{n}\n"),
            _ => format!("u{n},{n}\n"),
        };
        let rows: String = (1..=records).map(row).collect();
        let file = fixture.file("a.csv", format!("id,n\n{rows}"));
        let line = format!(
            "people {} --id-column id --batch-items 10 --concurrency 1 --rejects {}.rejects",
            file.display(),
            file.display()
        );
        Self { fixture, line }
    }

    /// Stops in the middle: the first two requests are accepted, and the third one gets a 401.
    fn stopped() -> Self {
        let import = Self::with(vec![Step::pass(), Step::pass(), 401.into()]);
        import.run("").check(4, "the API rejected the credentials");
        import
    }

    fn path(&self, name: &str) -> PathBuf {
        self.fixture.folder.path().join(name)
    }

    fn run(&self, more: &str) -> Run {
        self.fixture.run(&format!("{} {more}", self.line))
    }

    fn journal(&self) -> PathBuf {
        self.path("a.csv.cio-journal")
    }

    /// Checks that a run sends nothing and leaves the files as they are.
    #[track_caller]
    fn check_refused(&self, more: &str, message: &str) {
        let files = ["a.csv.cio-journal", "a.csv.rejects"].map(|name| self.path(name));
        let contents = || files.clone().map(|path| fs::read(path).ok());
        let (before, accepted) = (contents(), self.accepted());
        self.run(more).check(1, message);
        assert_eq!(self.accepted(), accepted);
        assert_eq!(contents()[0], before[0], "the journal has changed");
        // A missing file is created and stays empty.
        let after = contents()[1].clone().filter(|content| !content.is_empty());
        assert_eq!(
            after,
            before[1].clone().filter(|content| !content.is_empty())
        );
    }

    fn accepted(&self) -> u64 {
        self.fixture.simulator.totals().accepted
    }

    /// Checks that the run goes on, and that each record has arrived once.
    #[track_caller]
    fn check_goes_on(&self) {
        self.run("").check(3, "");
        self.fixture.check_report([40, 36, 4, 0, 0]);
        assert_eq!(self.accepted(), 36);
        self.check_rejects();
    }

    #[track_caller]
    fn check_rejects(&self) {
        let rows = rejects(&self.path("a.csv.rejects"));
        let numbers: Vec<_> = rows.iter().map(|row| row["n"].as_str()).collect();
        assert_eq!(numbers, ["10", "20", "30", "40"]);
    }
}

#[test]
fn after_rejected_credentials_the_same_command_sends_the_rest() {
    let import = Import::stopped();
    // The program has read ahead, and rejected two more.
    import.fixture.check_report([40, 20, 4, 0, 16]);
    let report = import.fixture.report();
    assert_eq!(report["left"], "23-29, 31-39");
    let status = |line: &str| finish(crate::fixture::bare(line), b"");
    let line = format!("status {}", import.path("a.csv").display());
    let run = status(&line);
    run.check(5, "");
    let expected = "24 of 40 records settled: 20 accepted, 4 rejected\nleft: 23-29, 31-39\n";
    assert!(run.stdout.ends_with(expected), "{}", run.stdout);

    import.check_goes_on();
    assert_eq!(import.fixture.report()["settled_earlier"], 24);
    assert_eq!(import.fixture.report()["requests"], 2);
    let run = status(&format!("{line} --json"));
    run.check(3, "");
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (&json["state"], &json["left"]),
        (&"finished".into(), &"".into())
    );
    assert_eq!(json["report"]["accepted"], 36);
    let journal = import.journal();
    status(&format!("status {}", journal.display())).check(3, "");
    let empty = import.fixture.file("empty.csv", "");
    let line = format!("status {}", empty.display());
    status(&line).check(1, "empty.csv.cio-journal: there is no journal");
    let line = format!("status x --journal {}", empty.display());
    status(&line).check(1, "empty.csv: the journal is empty");
    status("status no-such.csv").check(1, "no-such.csv.cio-journal: there is no journal");
}

#[test]
fn the_plan_of_a_run_that_goes_on_counts_what_is_left() {
    let import = Import::stopped();
    let run = import.run("");
    let expected = "journal: 20 records settled by earlier runs, not sent again\n";
    assert!(run.stdout.contains(expected), "{}", run.stdout);
    assert!(run.stdout.contains("requests: about 2,"), "{}", run.stdout);
}

#[test]
fn a_damaged_journal_is_refused_unless_only_its_last_line_is_cut_off() {
    let import = Import::stopped();
    let whole = fs::read_to_string(import.journal()).unwrap();
    let lines: Vec<_> = whole.lines().collect();
    assert!(lines[2].starts_with("settled 1-"), "{whole}");
    // In the middle.
    fs::write(import.journal(), whole.replacen("\nrun {", "\nrun  {", 1)).unwrap();
    import.check_refused("", "a.csv.cio-journal: line 2 of the journal is damaged");
    fs::write(import.journal(), whole.replacen('{', "[", 1)).unwrap();
    import.check_refused("", "line 1 of the journal is damaged");
    fs::write(import.journal(), &whole[20..]).unwrap();
    import.check_refused("", "this file is not an import journal");
    // At the end.
    fs::write(import.journal(), format!("{whole}settled 23-2")).unwrap();
    import.check_goes_on();
}

#[test]
fn a_cut_off_line_is_sent_again_with_its_rejects() {
    let import = Import::stopped();
    let whole = fs::read_to_string(import.journal()).unwrap();
    let settled = whole.find("\nsettled ").unwrap();
    fs::write(import.journal(), &whole[..settled + 20]).unwrap();
    import.run("").check(3, "");
    import.fixture.check_report([40, 36, 4, 0, 0]);
    assert_eq!(import.accepted(), 20 + 36);
    import.check_rejects();
}

#[test]
fn a_rejects_file_that_is_missing_or_changed_is_refused() {
    let import = Import::stopped();
    let path = import.path("a.csv.rejects");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replace("..", "u7")).unwrap();
    import.check_refused(
        "",
        "a.csv.rejects: the rejects file was changed since the earlier run",
    );
    fs::remove_file(&path).unwrap();
    import.check_refused("", "a.csv.rejects: the rejects file is missing or empty");
    fs::write(&path, whole).unwrap();
    import.check_goes_on();
}

#[test]
fn a_new_rejects_file_gets_the_records_that_are_rejected_from_now_on() {
    let import = Import::sized(200, vec![Step::pass(), 401.into()]);
    import.run("").check(4, "");
    let old = fs::read(import.path("a.csv.rejects")).unwrap();
    let new = import.path("new.csv");
    let line = import.line.replace("a.csv.rejects", "new.csv");
    import.fixture.run(&line).check(3, "");
    assert_eq!(fs::read(import.path("a.csv.rejects")).unwrap(), old);
    let [old, new] = [import.path("a.csv.rejects"), new].map(|path| rejects(&path));
    assert!(!old.is_empty() && !new.is_empty());
    let numbers = old.iter().chain(&new).map(|row| row["n"].parse::<u32>());
    let expected: Vec<_> = (1..=20).map(|ten| Ok(ten * 10)).collect();
    assert_eq!(numbers.collect::<Vec<_>>(), expected);
    assert_eq!(import.accepted(), 180);
}

#[test]
fn a_changed_input_or_another_mapping_is_refused_also_with_an_import_id() {
    let import = Import::stopped();
    let input = fs::read_to_string(import.path("a.csv")).unwrap();
    import.check_refused("--except n", "the mapping of columns differs");
    import.check_refused("--import-id x", "the import id differs");
    import.fixture.file("a.csv", input.replace("u33", "u34"));
    import.check_refused("", "the content of the file differs");
    import.fixture.file("a.csv", input);
    import.check_goes_on();

    let import = Import::with(vec![Step::pass(), 401.into()]);
    import.run("--import-id x").check(4, "");
    let input = fs::read_to_string(import.path("a.csv")).unwrap();
    import.fixture.file("a.csv", input.replace("u33", "u34"));
    import.check_refused("--import-id x", "the content of the file differs");
}

#[test]
fn a_stream_that_ends_before_a_settled_record_is_not_finished() {
    let fixture = Fixture::with(Simulator::builder().script(script([
        Step::pass(),
        Step::pass(),
        Step::pass(),
        401.into(),
    ])));
    let journal = fixture.folder.path().join("journal");
    let line = format!(
        "people - --format csv --id-column id --import-id i --batch-items 2 --concurrency 1 \
         --journal {}",
        journal.display()
    );
    let run = |rows: &str| finish(fixture.command(&line), format!("id\n{rows}").as_bytes());
    run("1\n2\n3\n4\n5\n6\n7\n8\n").check(4, "the same command sends the records 7-8");
    let expected = "standard input: the input has ended after 5 records, but an earlier run has \
                    settled record 6";
    run("1\n2\n3\n4\n5\n").check(5, expected);
    assert!(
        !fs::read_to_string(&journal)
            .unwrap()
            .contains("\ncomplete ")
    );
    run("1\n2\n3\n4\n5\n6\n7\n8\n").check(0, "");
    assert_eq!(fixture.simulator.totals().accepted, 8);
}

#[test]
fn two_runs_cannot_use_one_journal_at_the_same_time() {
    let import = Import::new();
    let slow = import.line.replace("--batch-items 10", "--batch-items 1");
    let slow = format!("{slow} --limit 10/1s");
    let mut first = import.fixture.command(&slow).spawn().unwrap();
    while fs::metadata(import.journal()).map_or(0, |metadata| metadata.len()) == 0 {
        assert!(first.try_wait().unwrap().is_none(), "it has ended");
        std::thread::yield_now();
    }
    import.run("").check(
        1,
        "a.csv.cio-journal: another import is using this journal; wait until it ends",
    );
    let line = format!("status {}", import.path("a.csv").display());
    let run = finish(crate::fixture::bare(&line), b"");
    assert!(
        run.stdout.contains(": a run is using it\n"),
        "{}",
        run.stdout
    );
    let first = crate::fixture::ended(first.wait_with_output().unwrap());
    first.check(3, "");
    assert_eq!(import.accepted(), 36);
}

#[test]
fn an_import_is_sent_again_only_with_a_flag() {
    let import = Import::stopped();
    // Starts over, and goes on with the same flag.
    import.run("--again").check(3, "");
    assert_eq!(import.accepted(), 20 + 36);
    import.run("").check(3, "");
    assert_eq!(import.accepted(), 20 + 36);
    import.run("--again").check(3, "");
    assert_eq!(import.accepted(), 20 + 36 + 36);
    import.check_rejects();
}

/// A build for release has no points at which it can be killed.
#[cfg(all(unix, debug_assertions))]
#[test]
fn a_crash_or_a_full_disk_at_the_start_of_sending_again_keeps_the_finished_import() {
    let mut import = Import::new();
    import.run("").check(3, "");
    let journal = fs::read(import.journal()).unwrap();
    let mut command = import.fixture.command(&format!("{} --again", import.line));
    command.env("CIO_IMPORT_CRASH", "half a line:1");
    assert_eq!(
        command.output().unwrap().status.code(),
        None,
        "it was not killed"
    );
    let requests = || import.fixture.simulator.totals().requests;
    let before = requests();
    let run = import.run("");
    run.check(3, "");
    let expected = "this import is finished since an earlier run";
    assert!(run.stdout.contains(expected), "{}", run.stdout);
    assert_eq!(requests(), before);
    // The journal is longer already, so nothing can be appended.
    let blocks = u8::try_from(journal.len() / 512).unwrap();
    import.line += " --again";
    with_room(&import, blocks).check(1, "the journal cannot be written; free some disk space");
    assert_eq!(fs::read(import.journal()).unwrap(), journal);
}

#[test]
fn new_ids_make_new_events_and_stay_the_same_after_a_stop() {
    let fixture = Fixture::with(Simulator::builder().script(script(
        // A whole run, then one that is stopped after its first request.
        [200, 200, 200].into_iter().map(|_| Step::pass()).chain([
            Step::pass(),
            Step::pass(),
            401.into(),
        ]),
    )));
    let rows: String = (1..=30).map(|n| format!("u{n}\n")).collect();
    let file = fixture.file("a.csv", format!("id\n{rows}"));
    let line = format!(
        "events {} --id-column id --name won --now --batch-items 10 --concurrency 1",
        file.display()
    );
    let events = || fixture.simulator.totals().events;
    fixture.run(&line).check(0, "");
    fixture.run(&format!("{line} --again")).check(4, "");
    assert_eq!(
        (events(), fixture.simulator.totals().duplicate_events),
        (30, 10)
    );
    fixture.run(&format!("{line} --new-ids")).check(0, "");
    assert_eq!(
        (events(), fixture.simulator.totals().duplicate_events),
        (60, 10)
    );
    fixture.run(&line).check(0, "");
    fixture.run(&format!("{line} --again")).check(0, "");
    assert_eq!(
        (events(), fixture.simulator.totals().duplicate_events),
        (60, 40)
    );
    fixture
        .run(&format!("{line} --new-ids --no-journal"))
        .check(2, "cannot be used with");
}

/// Runs the import with files of at most this many blocks of 512 bytes, as on a full disk.
#[cfg(unix)]
fn with_room(import: &Import, blocks: u8) -> Run {
    let mut limited = std::process::Command::new("sh");
    let command = import.fixture.command(&import.line);
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    limited.args(["-c", &script, "sh"]);
    limited.arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            limited.env(key, value);
        }
    }
    crate::fixture::ended(limited.output().unwrap())
}

#[cfg(unix)]
#[test]
fn a_full_disk_stops_the_run_and_keeps_what_is_settled() {
    let message = "a.csv.cio-journal: the journal cannot be written; free some disk space";
    // Before the first request.
    let import = Import::stopped();
    let whole = fs::read(import.journal()).unwrap();
    with_room(&import, 1).check(1, message);
    assert_eq!(fs::read(import.journal()).unwrap(), whole);
    import.check_goes_on();
    // After it: a line about the run and one about records fit, and no report.
    let import = Import::of(Simulator::builder().credentials(SITE_ID, API_KEY), 40);
    let left = || 1024 - fs::metadata(import.journal()).map_or(0, |file| file.len());
    while !(160..330).contains(&left()) {
        // Adds a line about the run.
        let mut command = import.fixture.command(&import.line);
        command.env("CUSTOMERIO_TRACK_API_KEY", "wrong");
        finish(command, b"").check(4, "");
    }
    with_room(&import, 2).check(5, message);
    assert!(import.accepted() > 0);
    import.run("").check(3, "");
    import.fixture.check_report([40, 36, 4, 0, 0]);
    import.check_rejects();
}

#[test]
fn a_journal_of_another_workspace_is_refused() {
    let environment = Arc::new(AtomicU64::new(7));
    let (named, bodies) = (Arc::clone(&environment), Arc::new(AtomicU64::new(0)));
    let sent = Arc::clone(&bodies);
    let port = serve_with(move |body| match body.is_empty() {
        true => {
            let number = named.load(Relaxed);
            let account = format!("{{\"region\":\"us\",\"environment_id\":{number}}}");
            ("200 OK", account)
        }
        // All but the first one.
        false if sent.fetch_add(1, Relaxed) == 0 => ("200 OK", "{}".into()),
        false => ("401 Unauthorized", "{}".into()),
    });
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", "id\n1\n2\n3\n");
    let line = format!(
        "people {} --id-column id --mode single --concurrency 1",
        file.display()
    );
    run_to(port, &line).check(4, "the same command sends the records 2-3");
    environment.store(8, Relaxed);
    let run = run_to(port, &line);
    run.check(
        1,
        "this journal belongs to another run: the workspace differs",
    );
    assert_eq!(bodies.load(Relaxed), 2);
    environment.store(7, Relaxed);
    run_to(port, &line).check(4, "");
}

#[test]
fn a_corrected_rejects_file_can_be_imported() {
    for (name, format, [before, after]) in [
        ("csv", "id,n\n..,\"a, \"\"b\"\"\"\nu2,2\n..,\n", ["\n", ","]),
        (
            "jsonl",
            "{\"id\":\"..\",\"n\":1.10}\n{\"id\":2}\n{\"id\":\"..\"}\n",
            ["\"id\":\"", "\""],
        ),
    ] {
        let fixture = Fixture::new();
        let file = fixture.file(&format!("a.{name}"), format);
        let path = fixture.folder.path().join(format!("bad.{name}"));
        let line =
            |file: &PathBuf, more: &str| format!("people {} --id-column id {more}", file.display());
        let flag = format!("--rejects {}", path.display());
        fixture.run(&line(&file, &flag)).check(3, "");
        let mut rows = fs::read_to_string(&path).unwrap();
        for id in ["u7", "u8"] {
            let (bad, good) = (format!("{before}..{after}"), format!("{before}{id}{after}"));
            rows = rows.replacen(&bad, &good, 1);
        }
        fs::write(&path, rows).unwrap();
        let again = fixture.folder.path().join(format!("again.{name}"));
        let flag = format!("--rejects {}", again.display());
        let run = fixture.run(&line(&path, &flag));
        run.check(0, "");
        let left_out = "left out: a column of a rejects file: \"_line\", \"_outcome\", \"_reason\"";
        assert!(run.stdout.contains(left_out), "{}", run.stdout);
        fixture.check_report([2, 2, 0, 0, 0]);
        let person = fixture.simulator.person("u7").unwrap();
        let names: Vec<_> = person.attributes.keys().collect();
        assert_eq!(names, ["n"]);
        let expected = match name {
            "csv" => serde_json::json!("a, \"b\""),
            _ => serde_json::json!(1.1),
        };
        assert_eq!(person.attributes["n"], expected);
        assert!(
            fixture
                .simulator
                .person("u8")
                .unwrap()
                .attributes
                .is_empty()
        );
    }
}

#[test]
fn a_record_that_cannot_be_split_is_in_the_rejects_file_as_text() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", "id,n\n1,2,3\n2,a\"b\nu3,x\n");
    let path = fixture.folder.path().join("bad.csv");
    let line = format!(
        "people {} --id-column id --rejects {}",
        file.display(),
        path.display()
    );
    fixture.run(&line).check(3, "");
    let rows = rejects(&path);
    let of = |column: &str| {
        rows.iter()
            .map(|row| row[column].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("_record"), ["1,2,3", "2,a\"b"]);
    assert_eq!(
        (of("id"), of("_line")),
        (vec![String::new(); 2], vec!["2".into(), "3".into()])
    );
}
