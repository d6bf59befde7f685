//! Finishes a run: prints the summary, writes report and journal, and returns the exit code.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use customerio::Cause;
use serde::Serialize;

use crate::console::{Output, print_error, print_output};
use crate::display::{self, counted};
use crate::journal::Journal;
use crate::problems::Problems;
use crate::reasons::ReasonJson;
use crate::report::{Exit, Report};
use crate::send::{MAX_SAME_REJECTIONS, MAX_WITHOUT_ANSWER, Stop, Wait, chain};

/// The error if the plan or the report of an earlier run cannot be printed.
pub(crate) const NOT_PRINTED: &str = "cannot write to the standard output; nothing was sent";

/// A run that was sent and is not finished.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) report: Report,
    pub(crate) stop: Option<Stop>,
    pub(crate) problems: Problems,
    pub(crate) output: Output,
    /// The journal, locked until the end of the run.
    pub(crate) journal: Option<Box<Journal>>,
    /// Whether all settled records are in the journal.
    pub(crate) is_written: bool,
    /// The number of unknown or unsent records for which the rejects file has no row.
    pub(crate) left_out: u64,
}

/// The summary as `--json` writes it: the fields of the report, and how the run ended. The names of
/// the fields are public: scripts read them.
#[derive(Debug, Serialize)]
struct SummaryJson<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    report: &'a Report,
    /// Empty for an earlier run, whose report has the counts only.
    not_accepted_by_reason: Vec<ReasonJson>,
    /// Why the run stopped before its end, or `null`.
    stopped: Option<String>,
    /// Whether this is the report of an earlier run, so that nothing was sent.
    finished_earlier: bool,
}

/// Finishes a run. The journal is completed only if each record was accepted or rejected, so that
/// the same command sends the rest otherwise.
pub(crate) fn finish(sent: Sent, report_file: Option<File>) -> Result<Exit> {
    let Sent {
        report,
        stop,
        problems,
        output,
        journal,
        is_written,
        left_out,
    } = sent;
    let reasons = problems.reasons().json();
    problems.finish().as_deref().map(print_error);
    if let Some(stop) = &stop {
        print_error(&format!("cio-import: {}", message(stop)));
    }
    // The summary is printed even if a file cannot be written.
    let written = write_report(&report, report_file);
    print_summary(&match output {
        Output::Text => report.to_string(),
        Output::Json => summary_json(&report, reasons, stop.as_ref().map(message), false),
    });
    written?;
    let has_no_success = stop.is_none() && is_without_success(&report);
    if has_no_success {
        print_error(
            "cio-import: the API accepted no record, so the import is not marked as finished; \
             check the base URL and the reasons (--rejects FILE), then run the same command again",
        );
    }
    if left_out > 0 {
        let records = counted(left_out, "more record", "more records");
        print_error(&format!(
            "cio-import: {records} unknown or not sent; the rejects file has no row for them"
        ));
    }
    // An API that accepted nothing may be the wrong one: the next run must send again.
    let is_finished = stop.is_none() && report.is_settled() && !has_no_success;
    match journal {
        Some(journal) if is_finished => journal.complete(&report)?,
        Some(journal) => {
            // Otherwise the next run sends more than the records that are left.
            if !report.is_settled() && is_written {
                print_error(&left(&report, stop.is_none()));
            }
            journal.end(&report)?;
        }
        None => {}
    }
    Ok(match stop {
        None => report.exit(),
        Some(Stop::Credentials) => Exit::CredentialsRejected,
        Some(_) => Exit::Stopped,
    })
}

/// Returns the message about records that the next run takes up.
fn left(report: &Report, has_ended: bool) -> String {
    let left = &report.left;
    match has_ended {
        true => format!(
            "cio-import: some records are unknown or not sent, so the import is not marked as \
             finished; run the same command again: it sends these records, with the same event \
             ids: {left}"
        ),
        false => format!("cio-import: the same command sends the records {left}"),
    }
}

/// Returns whether requests were sent and no record was accepted. The address may be wrong then,
/// and not the records.
fn is_without_success(report: &Report) -> bool {
    report.requests > 0 && report.accepted == 0
}

/// Prints the report of an earlier run that is finished.
pub(crate) fn finish_again(
    report: &Report,
    report_file: Option<File>,
    output: Output,
) -> Result<Exit> {
    let summary = match output {
        Output::Text => format!(
            "this import is finished since an earlier run, so nothing was sent; to send it again, \
             add --again\n{report}"
        ),
        Output::Json => summary_json(report, Vec::new(), None, true),
    };
    print_output(&summary).context(NOT_PRINTED)?;
    write_report(report, report_file)?;
    Ok(report.exit())
}

fn summary_json(
    report: &Report,
    not_accepted_by_reason: Vec<ReasonJson>,
    stopped: Option<String>,
    finished_earlier: bool,
) -> String {
    let summary = SummaryJson {
        r#type: "summary",
        report,
        not_accepted_by_reason,
        stopped,
        finished_earlier,
    };
    serde_json::to_string(&summary).expect("a summary can be serialized")
}

fn write_report(report: &Report, file: Option<File>) -> Result<()> {
    let Some(mut file) = file else { return Ok(()) };
    let mut json = serde_json::to_vec_pretty(report)?;
    json.push(b'\n');
    file.write_all(&json)
        .and_then(|()| file.sync_all())
        .context("the report cannot be written; free some disk space")
}

/// Prints the summary, on the standard error if the standard output fails: the records are sent, so
/// the counts must not be lost.
fn print_summary(summary: &str) {
    if let Err(error) = print_output(summary) {
        print_error(&format!(
            "cio-import: cannot write to the standard output: {error}\n{summary}"
        ));
    }
}

fn message(stop: &Stop) -> String {
    match stop {
        Stop::Credentials => "the API rejected the credentials; check CUSTOMERIO_SITE_ID, \
             CUSTOMERIO_TRACK_API_KEY and the region, then run the same command again"
            .into(),
        Stop::Failed(error) => format!("{error:#}"),
        Stop::Interrupted => {
            "interrupted; to send the rest, run the same command again: no record \
             takes effect twice"
                .into()
        }
        Stop::Permanent(cause) => permanent(cause),
        Stop::SameRejection(status) => same_rejection(*status),
        Stop::WaitedTooLong(max_wait, wait) => waited_too_long(*max_wait, wait),
        Stop::WithoutAnswer(status) => without_answer(*status),
    }
}

fn same_rejection(status: Option<u16>) -> String {
    let status = status.map_or_else(String::new, |status| format!(" with status {status}"));
    format!(
        "the API rejected the first {MAX_SAME_REJECTIONS} records{status}, all for the same \
         reason; check the base URL and the column flags; for the reason, see --rejects FILE; to \
         send the rest all the same, add --keep-going"
    )
}

fn without_answer(status: Option<u16>) -> String {
    let last = status.map_or_else(
        || "the last one got no answer at all".to_owned(),
        |status| format!("the last one got status {status}"),
    );
    format!(
        "{MAX_WITHOUT_ANSWER} requests in a row got no answer about any record; {last}; check the \
         base URL and its path, and whether the server is up"
    )
}

fn waited_too_long(max_wait: Duration, wait: &Wait) -> String {
    let why = match wait {
        Wait::Outage { cause, .. } if cause.status().is_none() => permanent(cause),
        wait => wait.to_string(),
    };
    format!(
        "stopped after {} of waiting for the server (--max-wait): {why}; to send the rest, run the \
         same command again, with a longer --max-wait if needed",
        display::duration(max_wait)
    )
}

/// Leaves out the server's text, which may repeat people's data.
fn permanent(cause: &Cause) -> String {
    match (cause.region(), cause.status()) {
        (Some(region), _) => format!("the account is in another region; add --region {region}"),
        (None, Some(status)) => format!(
            "the API refused a request with status {}, which waiting does not change; check the \
             base URL",
            status.as_u16()
        ),
        (None, None) => {
            let chain = chain(cause);
            format!("no request gets an answer; check the network and the address: {chain}")
        }
    }
}
