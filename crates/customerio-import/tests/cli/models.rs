//! The limit holds against every model, with all faults. `cargo test models -- --nocapture` shows the rates.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::thread;
use std::time::Duration;

use customerio_sim::{Faults, Limit, Model, Probability, Simulator, Stall};

use crate::fixture::{Fixture, data, finish};

const PEOPLE: usize = 800;
const LIMIT: NonZeroU32 = NonZeroU32::new(100).unwrap();

const MODELS: [(&str, Model); 4] = [
    ("sliding log", Model::SlidingLog),
    ("sliding counter", Model::SlidingCounter),
    ("fixed window", Model::FixedWindow),
    ("token bucket", Model::TokenBucket { size: LIMIT }),
];

/// The counts of one import and of its server.
struct Cell {
    model: &'static str,
    faults: &'static str,
    code: i32,
    per_second: f64,
    throttled: u64,
    /// Requests in the server's busiest window, by when they reached the counter.
    busiest: u64,
    people: u64,
}

fn all_faults() -> [(&'static str, Faults); 3] {
    let millis = Duration::from_millis;
    let one_percent = Probability::new(0.01).unwrap();
    [
        ("none", Faults::none()),
        (
            "20 ms + 0-50 ms",
            Faults::none().latency(millis(20)).jitter(millis(50)),
        ),
        (
            "1 % stalls of 300 ms",
            Faults::none().stall(Stall::new(one_percent, millis(300))),
        ),
    ]
}

fn import(model: (&'static str, Model), faults: (&'static str, Faults), people: &str) -> Cell {
    let limit = Limit::per_second(LIMIT.get()).model(model.1);
    let fixture = Fixture::with(Simulator::builder().limit(limit).faults(faults.1).seed(7));
    let file = fixture.file("people.csv", people);
    let line = format!(
        "people {} --id-column playerID --no-journal --mode single --limit {LIMIT}/1s --concurrency 64",
        file.display()
    );
    let code = finish(fixture.command(&line), b"").code;
    let (report, totals) = (fixture.report(), fixture.simulator.totals());
    Cell {
        model: model.0,
        faults: faults.0,
        code,
        per_second: PEOPLE as f64 / report["elapsed_seconds"].as_f64().unwrap(),
        throttled: totals.throttled + report["throttled"].as_u64().unwrap(),
        busiest: totals.busiest_window,
        people: totals.people,
    }
}

fn table(cells: &[Cell]) -> String {
    let mut table =
        "| model | faults | accepted/s | busiest window | throttled |\n|---|---|--:|--:|--:|\n"
            .to_owned();
    for cell in cells {
        let Cell {
            model,
            faults,
            per_second,
            throttled,
            busiest,
            ..
        } = cell;
        writeln!(
            table,
            "| {model} | {faults} | {per_second:.1} | {busiest} | {throttled} |"
        )
        .unwrap();
    }
    table
}

#[test]
fn no_model_of_a_server_throttles_a_request_with_any_faults() {
    let people: String = std::fs::read_to_string(data("people.csv"))
        .unwrap()
        .split_inclusive('\n')
        .take(1 + PEOPLE)
        .collect();
    let cells: Vec<Cell> = thread::scope(|scope| {
        let people = &people;
        let cases = MODELS
            .into_iter()
            .flat_map(|model| all_faults().map(|faults| (model, faults)));
        let runs: Vec<_> = cases
            .map(|(model, faults)| scope.spawn(move || import(model, faults, people)))
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    println!("{}", table(&cells));
    assert_eq!(cells.len(), 12);
    for Cell {
        model,
        faults,
        code,
        throttled,
        people,
        ..
    } in cells
    {
        let found = (code, throttled, people);
        assert_eq!(found, (0, 0, PEOPLE as u64), "{model}, {faults}");
    }
}
