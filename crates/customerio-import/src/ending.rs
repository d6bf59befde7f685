//! Tells how a run ended: to the user, in the report, and in the journal.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use customerio::Cause;

use crate::console::{complain, print};
use crate::counted;
use crate::exit::Exit;
use crate::journal::Journal;
use crate::pipeline::{Halt, MAX_ALIKE, MAX_FRUITLESS, Wait, chain};
use crate::problems::{Problems, rejects_failed};
use crate::report::Report;

/// Says that the plan or the report of an earlier run is not seen.
pub(crate) const NOT_PRINTED: &str = "the standard output cannot be written, and nothing was sent";

/// What was sent, before it is told.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) report: Report,
    pub(crate) halt: Option<Halt>,
    pub(crate) problems: Problems,
}

/// Tells how the run ended. A journal is completed only where each record was accepted or rejected:
/// the same command takes up the others.
pub(crate) fn conclude(
    sent: Sent,
    journal: Option<Journal>,
    report_file: Option<File>,
) -> Result<Exit> {
    let Sent {
        report,
        halt,
        problems,
    } = sent;
    let flushed = problems.finish();
    if let Ok(Some(more)) = &flushed {
        complain(more);
    }
    if let Some(halt) = &halt {
        complain(&format!("cio-import: {}", told(halt)));
    }
    // The counts are told before anything that failed.
    let written = write_report(&report, report_file);
    tell(&report.to_string());
    both(written, flushed.map(drop).map_err(rejects_failed))?;
    let in_vain = halt.is_none() && is_in_vain(&report);
    if in_vain {
        complain(
            "cio-import: the API accepted nothing, so the run does not count as finished; check the base URL and the \
             reasons that --rejects FILE keeps",
        );
    }
    let is_complete = halt.is_none() && report.is_settled() && !in_vain;
    match journal {
        Some(journal) if is_complete => journal.complete(&report)?,
        Some(_) if halt.is_none() && !report.is_settled() => complain(
            "cio-import: the run does not count as finished, since records are unknown or not sent; the same command sends \
             all again, with the same event ids",
        ),
        Some(_) | None => {}
    }
    Ok(match halt {
        None => report.exit(),
        Some(Halt::Credentials) => Exit::Refused,
        Some(_) => Exit::Stopped,
    })
}

/// Fails where one of the two did; of two errors, one is told here.
fn both(one: Result<()>, other: Result<()>) -> Result<()> {
    if let (Err(error), Err(_)) = (&one, &other) {
        complain(&format!("cio-import: {error:#}"));
    }
    other.and(one)
}

/// Tells whether something was sent and nothing was accepted, which may lie in the address and not
/// in the records.
fn is_in_vain(report: &Report) -> bool {
    report.requests > 0 && report.accepted == 0
}

/// Tells of a run that came to its end before this one.
pub(crate) fn finished_before(report: &Report, report_file: Option<File>) -> Result<Exit> {
    print(&format!(
        "this import came to its end before, so nothing is sent; --again starts over\n{report}"
    ))
    .context(NOT_PRINTED)?;
    write_report(report, report_file)?;
    Ok(report.exit())
}

fn write_report(report: &Report, file: Option<File>) -> Result<()> {
    let Some(mut file) = file else { return Ok(()) };
    let mut json = serde_json::to_vec_pretty(report)?;
    json.push(b'\n');
    file.write_all(&json)
        .and_then(|()| file.sync_all())
        .context("the report cannot be written; free some space")
}

/// Tells the counts, on the standard error where the standard output takes nothing: what was sent
/// is sent.
fn tell(counts: &str) {
    if let Err(error) = print(counts) {
        complain(&format!(
            "cio-import: the standard output cannot be written: {error}\n{counts}"
        ));
    }
}

fn told(halt: &Halt) -> String {
    match halt {
        Halt::Alike(status) => alike(*status),
        Halt::Credentials => {
            "the API refused the credentials; check CUSTOMERIO_SITE_ID, CUSTOMERIO_TRACK_API_KEY and the region".into()
        }
        Halt::Failed(error) => format!("{error:#}"),
        Halt::Fruitless(status) => fruitless(*status),
        Halt::Interrupted => {
            "interrupted; the same command takes up what was not sent, and sends nothing twice in effect".into()
        }
        Halt::Patience(patience, wait) => out_of_patience(*patience, wait),
        Halt::TurnedAway(cause) => turned_away(cause),
    }
}

fn alike(status: Option<u16>) -> String {
    let status = status.map_or_else(String::new, |status| format!(", with status {status}"));
    format!(
        "the API rejected the first {MAX_ALIKE} records{status}, all for the same reason, which --rejects FILE keeps; check \
         the base URL and what the columns mean, or add --keep-going"
    )
}

fn fruitless(status: Option<u16>) -> String {
    let last = status.map_or_else(
        || "no answer at last".to_owned(),
        |status| format!("status {status} at last"),
    );
    format!(
        "{MAX_FRUITLESS} requests in a row without a word about a record, {last}; check the base URL and its path, and \
         whether the server is up"
    )
}

fn out_of_patience(patience: Duration, wait: &Wait) -> String {
    let why = match wait {
        Wait::Outage { cause, .. } if cause.status().is_none() => turned_away(cause),
        wait => wait.to_string(),
    };
    format!(
        "the run may wait for {} (--patience), and that is over: {why}; --patience TIME waits longer, and the same command \
         takes up what was not sent",
        counted::time(patience)
    )
}

/// Leaves out the server's words, which may repeat people's data.
fn turned_away(cause: &Cause) -> String {
    match (cause.region(), cause.status()) {
        (Some(region), _) => format!("the account is in another region; add --region {region}"),
        (None, Some(status)) => format!(
            "the API turned a request away to the end, with status {}",
            status.as_u16()
        ),
        (None, None) => {
            let chain = chain(cause);
            format!("no request gets through; check the network and the address: {chain}")
        }
    }
}
