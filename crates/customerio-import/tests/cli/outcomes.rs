//! The outcome of each record, when the answers are about some of them, or about none.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::fixture::{Fixture, rejects};
use crate::outages::{run_to, serve_with};

/// The ids of the people in the body of a request, in their order.
fn ids(body: &str) -> Vec<String> {
    // The question for the workspace has no body.
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let batch = body["batch"].as_array();
    let operations = batch.map_or_else(|| std::slice::from_ref(&body), Vec::as_slice);
    let ids = operations.iter().map(|one| &one["identifiers"]["id"]);
    ids.filter_map(|id| id.as_str().map(str::to_owned))
        .collect()
}

/// Answers a request as the API does where one of its records is bad.
fn answer(ids: &[String]) -> (&'static str, String) {
    let position = |id: &str| ids.iter().position(|one| one == id);
    let bad = ["u3", "u9"].map(|id| (id, position(id)));
    let items = bad.iter().filter_map(|(id, position)| {
        let position = (*position)?;
        Some(json!({"batch_index": position, "reason": "invalid", "message": format!("bad {id}")}))
    });
    let items: Vec<_> = items.collect();
    if !items.is_empty() {
        return ("207 Multi-Status", json!({"errors": items}).to_string());
    }
    if position("u15").is_some() {
        let errors = json!({"errors": [{"reason": "invalid", "message": "bad u15"}]});
        return ("400 Bad Request", errors.to_string());
    }
    // Tells nothing about the records of the batch.
    if ids.len() > 1 && position("u22").is_some() {
        return (
            "207 Multi-Status",
            r#"{"errors": [{"batch_index": 7"#.into(),
        );
    }
    // An index that the batch does not have.
    if ids.len() > 1 && position("u28").is_some() {
        let errors = json!({"errors": [{"batch_index": 10, "message": "bad"}]});
        return ("207 Multi-Status", errors.to_string());
    }
    if position("u35").is_some() {
        return ("500 Internal Server Error", "{}".into());
    }
    ("200 OK", "{}".into())
}

/// Returns `_line`, `_outcome` and `_response` of each row.
fn rows(fixture: &Fixture) -> Vec<[String; 3]> {
    let rows = rejects(&fixture.folder.path().join("rejects.csv"));
    let columns = ["_line", "_outcome", "_response"];
    let row = |row: &BTreeMap<String, String>| columns.map(|column| row[column].clone());
    rows.iter().map(row).collect()
}

#[test]
fn each_record_has_its_own_outcome_whatever_the_batch_is_answered() {
    let (arrivals, is_mended) = (
        Arc::new(Mutex::new(Vec::new())),
        Arc::new(AtomicBool::new(false)),
    );
    let (seen, mended) = (Arc::clone(&arrivals), Arc::clone(&is_mended));
    let port = serve_with(move |body| {
        let ids = ids(body);
        let answer = match mended.load(Relaxed) {
            true => ("200 OK", "{}".into()),
            false => answer(&ids),
        };
        seen.lock().unwrap().extend(ids);
        answer
    });
    let fixture = Fixture::new();
    let people: String = (0..50).map(|n| format!("u{n},{n}\n")).collect();
    let file = fixture.file("a.csv", format!("id,n\n{people}"));
    let line = format!(
        "people {} --id-column id --batch-items 6 --rejects {}/rejects.csv",
        file.display(),
        fixture.folder.path().display()
    );
    let run = run_to(port, &line);
    run.check(3, "with the same event ids: 36\n");
    let summary = "50 records: 46 accepted, 3 rejected, 1 unknown, 0 not sent";
    assert!(run.stdout.contains(summary), "{}", run.stdout);
    let expected = [
        ["5", "rejected", "bad u3"],
        ["11", "rejected", "bad u9"],
        ["17", "rejected", "bad u15"],
    ];
    let mut found = rows(&fixture);
    assert_eq!(found.pop().unwrap()[..2], ["37", "unknown"]);
    found.sort_by_key(|row| row[0].parse::<u32>().unwrap());
    for (row, expected) in found.iter().zip(expected) {
        assert_eq!(row[..2], expected[..2]);
        assert!(row[2].contains(expected[2]), "{row:?}");
    }
    assert_eq!(found.len(), 3);

    is_mended.store(true, Relaxed);
    arrivals.lock().unwrap().clear();
    run_to(port, &line).check(3, "");
    assert_eq!(*arrivals.lock().unwrap(), ["u35"]);
    assert_eq!(rows(&fixture).len(), 3, "the unknown record is accepted");
}

#[test]
fn a_success_that_is_not_from_the_api_leaves_its_records_for_the_next_run() {
    let (arrivals, is_foreign) = (
        Arc::new(Mutex::new(Vec::new())),
        Arc::new(AtomicBool::new(true)),
    );
    let (seen, foreign) = (Arc::clone(&arrivals), Arc::clone(&is_foreign));
    let port = serve_with(move |body| {
        let ids = ids(body);
        let is_foreign = foreign.load(Relaxed) && ids.contains(&"u0".into());
        seen.lock().unwrap().extend(ids);
        match is_foreign {
            true => (
                "200 OK\r\ncontent-type: text/html",
                "<html>Log in</html>".into(),
            ),
            false => ("200 OK", "{}".into()),
        }
    });
    let fixture = Fixture::new();
    let people: String = (0..60).map(|n| format!("u{n},{n}\n")).collect();
    // One more record of a person of the first batch.
    let file = fixture.file("a.csv", format!("id,n\n{people}u0,60\n"));
    let line = format!(
        "people {} --id-column id --batch-items 10 --rejects {}/rejects.csv",
        file.display(),
        fixture.folder.path().display()
    );
    let run = run_to(port, &line);
    run.check(3, "with the same event ids: 1-10, 61\n");
    let summary = "61 records: 50 accepted, 0 rejected, 10 unknown, 1 not sent";
    assert!(run.stdout.contains(summary), "{}", run.stdout);
    let outcomes: Vec<_> = rows(&fixture)
        .into_iter()
        .map(|[_, outcome, _]| outcome)
        .collect();
    assert_eq!(outcomes[..10], ["unknown"; 10]);
    assert_eq!(outcomes[10..], ["not_sent"]);

    is_foreign.store(false, Relaxed);
    arrivals.lock().unwrap().clear();
    run_to(port, &line).check(0, "");
    let mut arrived = arrivals.lock().unwrap().clone();
    arrived.sort();
    let mut expected: Vec<_> = (0..10).map(|n| format!("u{n}")).collect();
    expected.insert(1, "u0".into());
    assert_eq!(arrived, expected);
    assert!(rows(&fixture).is_empty());
}
