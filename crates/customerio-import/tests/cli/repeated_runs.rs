use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use crate::fixture::{Fixture, finish};
use crate::outages::{run_to, serve};

#[test]
fn a_finished_run_is_not_sent_again() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", "id,a\n1,x\n.,y\n");
    let line = format!("people {} --id-column id", file.display());
    fixture.run(&line).check(3, "");
    let first = fixture.report();
    let requests = fixture.simulator.totals().requests;

    let run = fixture.run(&line);
    run.check(3, "");
    assert!(
        run.stdout
            .contains("2 records: 1 accepted, 1 rejected, 0 unknown, 0 not sent"),
        "{}",
        run.stdout
    );
    assert_eq!(fixture.report(), first);
    assert_eq!(fixture.simulator.totals().requests, requests);

    fixture.run(&format!("{line} --again")).check(3, "");
    assert_eq!(fixture.simulator.totals().requests, requests + 2);
    assert_eq!(fixture.simulator.totals().accepted, 2);
}

/// Returns the different event ids in request bodies.
fn event_ids(bodies: &[String]) -> Vec<String> {
    let parts = bodies
        .iter()
        .flat_map(|body| body.split(r#""id":"0"#).skip(1));
    let mut ids: Vec<_> = parts.map(|part| part[..25].to_owned()).collect();
    ids.sort();
    ids.dedup();
    ids
}

#[test]
fn after_an_unknown_record_the_same_command_sends_it_again_with_the_same_id() {
    let is_broken = Arc::new(AtomicBool::new(true));
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let (breaks, seen) = (Arc::clone(&is_broken), Arc::clone(&bodies));
    let port = serve(move |body| {
        seen.lock().unwrap().push(body.to_owned());
        match body.contains("u7") && breaks.load(Relaxed) {
            true => "500 Internal Server Error",
            false => "200 OK",
        }
    });
    let fixture = Fixture::new();
    let events: String = (0..40).map(|n| format!("u{n},bought\n")).collect();
    let file = fixture.file("a.csv", format!("user,name\n{events}"));
    let line = format!(
        "events {} --person-column user --name-column name --now --yes --batch-items 10",
        file.display()
    );
    let first = run_to(port, &line);
    first.check(3, "the import is not marked as finished");
    assert!(
        first.stdout.contains("39 accepted, 0 rejected, 1 unknown"),
        "{}",
        first.stdout
    );

    is_broken.store(false, Relaxed);
    let sent = std::mem::take(&mut *bodies.lock().unwrap());
    let second = run_to(port, &line);
    second.check(0, "");
    let again = std::mem::take(&mut *bodies.lock().unwrap());
    assert_eq!(event_ids(&sent).len(), 40);
    let again = event_ids(&again);
    assert_eq!(again.len(), 1, "the others are settled");
    assert!(event_ids(&sent).contains(&again[0]));
    assert!(second.stdout.contains("40 accepted"), "{}", second.stdout);
    assert!(second.stdout.contains("39 records settled by earlier runs"));

    let third = run_to(port, &line);
    assert!(
        third.stdout.contains("is finished since an earlier run"),
        "{}",
        third.stdout
    );
    assert!(bodies.lock().unwrap().is_empty());
}

#[test]
fn a_journal_belongs_to_one_destination_mapping_and_content() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let file = fixture.file("a.csv", "id,a\n1,x\n");
    let line = format!("people {} --id-column id", file.display());
    fixture.run(&line).check(0, "");
    let journal = format!("--journal {}.cio-journal", file.display());
    other
        .run(&format!("{line} {journal}"))
        .check(1, "the base URL differs");
    fixture
        .run(&format!("people {} --id-column a", file.display()))
        .check(1, "the mapping of columns differs");
    let mut command = fixture.command(&line);
    command.env("CUSTOMERIO_SITE_ID", "another");
    finish(command, b"").check(1, "the site id differs");
    fixture.file("a.csv", "id,a\n1,y\n");
    fixture
        .run(&line)
        .check(1, "the content of the file differs");
    assert_eq!(
        (
            fixture.simulator.totals().requests,
            other.simulator.totals().requests
        ),
        (2, 0),
        "one for the workspace, one for the record"
    );
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_files_about_people() {
    use std::os::unix::fs::PermissionsExt;

    let fixture = Fixture::new();
    let file = fixture.file("a.csv", "id,a\n1,x\n");
    let rejects = fixture.folder.path().join("rejects");
    fixture
        .run(&format!(
            "people {} --id-column id --rejects {}",
            file.display(),
            rejects.display()
        ))
        .check(0, "");
    for name in ["a.csv.cio-journal", "rejects", "report.json"] {
        let mode = std::fs::metadata(fixture.folder.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
