use customerio_sim::{Dedupe, Simulator};

use crate::fixture::{Fixture, data, finish};

const COLUMNS: &str = "--person-column playerID --name-column awardID --timestamp-column yearID --timestamp-format %Y";

/// Sends the awards twice, and checks the number of events that the simulator has.
#[track_caller]
fn check_twice(dedupe: Dedupe, expected: u64) {
    let fixture = Fixture::with(Simulator::builder().dedupe(dedupe));
    for _ in 0..2 {
        fixture
            .run(&format!(
                "events {} {COLUMNS} --no-journal",
                data("awards.csv")
            ))
            .check(0, "");
        fixture.check_report([6_236, 6_236, 0, 0, 0]);
    }
    assert_eq!(fixture.simulator.totals().events, expected);
}

#[test]
fn events_that_are_sent_twice_have_the_same_ids() {
    check_twice(Dedupe::On, 6_236);
}

#[test]
fn without_deduplication_events_that_are_sent_twice_count_twice() {
    check_twice(Dedupe::Off, 12_472);
}

#[test]
fn events_that_may_trigger_campaigns_need_confirmation() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", "who,what,when\n1,won,2200\n2,won,1999\n");
    let line = format!(
        "events {} --person-column who --name-column what --timestamp-column when --timestamp-format %Y",
        file.display()
    );
    let run = fixture.run_unconfirmed(&line);
    run.check(1, "1 event is newer than 72 hours");
    assert!(run.stderr.contains("add --yes"), "{}", run.stderr);
    assert_eq!(fixture.simulator.totals().requests, 0);
    fixture.run(&format!("{line} --yes")).check(0, "");
    assert_eq!(fixture.simulator.totals().events, 2);
}

#[test]
fn events_with_now_need_confirmation() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", "who,what\n1,won\n");
    let line = format!(
        "events {} --person-column who --name-column what --now",
        file.display()
    );
    fixture
        .run_unconfirmed(&line)
        .check(1, "1 event is newer than 72 hours");
    fixture.run(&format!("{line} --yes")).check(0, "");
    fixture.check_report([1, 1, 0, 0, 0]);
}

#[test]
fn events_of_the_standard_input_need_repeatable_ids() {
    let fixture = Fixture::new();
    let line = "events - --format csv --person-column p --name-column n --now --yes";
    let send = |more: &str| {
        finish(
            fixture.command(&format!("{line} {more}")),
            b"p,n,k\n1,won,a\n1,won,b\n",
        )
    };
    send("").check(1, "its events need --event-id-column or --import-id");
    assert_eq!(fixture.simulator.totals().requests, 0);
    for _ in 0..2 {
        send("--event-id-column k").check(0, "");
    }
    assert_eq!(fixture.simulator.totals().events, 2);
    for _ in 0..2 {
        send("--import-id mine").check(0, "");
    }
    assert_eq!(fixture.simulator.totals().events, 4);
}
