//! Tells how a run ended: to the user, in the report, and in the journal.

use std::fs::File;
use std::io::Write;

use anyhow::{Context, Error, Result};
use customerio::Cause;

use crate::console::{complain, print};
use crate::exit::Exit;
use crate::journal::Journal;
use crate::pipeline::Halt;
use crate::problems::{Problems, rejects_failed};
use crate::report::Report;

/// What was sent, before it is told.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) report: Report,
    pub(crate) halt: Option<Halt>,
    pub(crate) problems: Problems,
}

/// Tells how the run ended. A journal is completed only where no record is left to be sent.
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
    print(&report.to_string())?;
    written.and_then(|()| flushed.map_err(rejects_failed))?;
    if let Some(journal) = journal.filter(|_| halt.is_none() && report.not_sent == 0) {
        journal.complete(&report)?;
    }
    Ok(match halt {
        None => report.exit(),
        Some(Halt::Credentials) => Exit::Refused,
        Some(Halt::Failed(_) | Halt::Interrupted | Halt::TurnedAway(_)) => Exit::Stopped,
    })
}

/// Tells of a run that came to its end before this one.
pub(crate) fn finished_before(report: &Report, report_file: Option<File>) -> Result<Exit> {
    print(&format!(
        "this import came to its end before, so nothing is sent; --again starts over\n{report}"
    ))?;
    write_report(report, report_file)?;
    Ok(report.exit())
}

fn write_report(report: &Report, file: Option<File>) -> Result<()> {
    let Some(mut file) = file else { return Ok(()) };
    let mut json = serde_json::to_vec_pretty(report)?;
    json.push(b'\n');
    file.write_all(&json)
        .context("the report cannot be written")
}

fn told(halt: &Halt) -> String {
    match halt {
        Halt::Credentials => {
            "the API refused the credentials; check CUSTOMERIO_SITE_ID, CUSTOMERIO_TRACK_API_KEY and the region".into()
        }
        Halt::Failed(error) => format!("{error:#}"),
        Halt::Interrupted => "interrupted".into(),
        Halt::TurnedAway(cause) => turned_away(cause),
    }
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
            let chain = format!("{:#}", Error::new(cause.clone()));
            format!("no request gets through; check the network and the address: {chain}")
        }
    }
}
