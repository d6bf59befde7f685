//! The command line, as it is typed. What it means is settled in [`crate::settings`].

use std::path::PathBuf;
use std::process;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::builder::NonEmptyStringValueParser;
use clap::{ArgAction, Args as Group, Parser, Subcommand, ValueEnum};

use customerio::Region;
use customerio::client::Quota;

use crate::console::complain;
use crate::files;
use crate::input::{Delimiter, Format};
use crate::mapping::TimeFormat;

/// Sends files of people and events to Customer.io: politely, repeatably, with progress.
///
/// Credentials are read from CUSTOMERIO_SITE_ID and CUSTOMERIO_TRACK_API_KEY.
///
/// Exit codes: 0 all accepted; 1 the file, the mapping or the settings cannot be used, nothing was
/// sent; 2 usage; 3 done, but some records were rejected or are unknown; 4 credentials refused; 5
/// stopped before the end.
///
/// Ctrl-C, SIGTERM and SIGHUP finish what is in flight and write report and rejects; the same
/// command goes on then. A second signal waits for nothing.
#[derive(Debug, Parser)]
#[command(name = "cio-import", version, about)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Creates or updates one person a record; columns that are not named become attributes
    People(PeopleArgs),
    /// Sends one event a record; columns that are not named become attributes of the event
    Events(EventsArgs),
}

#[derive(Debug, Group)]
pub(crate) struct PeopleArgs {
    #[command(flatten)]
    pub(crate) person: PeopleColumn,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Which column says who the person is.
#[derive(Debug, Group)]
#[group(required = true, multiple = false)]
pub(crate) struct PeopleColumn {
    /// Column that holds the person's id
    #[arg(long, value_name = "COLUMN")]
    pub(crate) id_column: Option<String>,
    /// Column that holds the person's e-mail address, where that is the identifier; white space
    /// around it is left out
    #[arg(long, value_name = "COLUMN")]
    pub(crate) email_column: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    pub(crate) person: EventsColumn,
    /// Column that holds the event's name
    #[arg(long, value_name = "COLUMN")]
    pub(crate) name_column: String,
    #[command(flatten)]
    pub(crate) moment: Moment,
    /// How the timestamp column writes a moment: rfc3339, unix (seconds), or a format of strftime
    #[arg(long, value_name = "FORMAT", requires = "timestamp_column")]
    pub(crate) timestamp_format: Option<TimeFormat>,
    /// Column that, with name and person, tells repeated events from different ones; the default is
    /// the place in the file
    #[arg(long, value_name = "COLUMN")]
    pub(crate) event_id_column: Option<String>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Which column says whose event it is.
#[derive(Debug, Group)]
#[group(required = true, multiple = false)]
pub(crate) struct EventsColumn {
    /// Column that holds the person's id
    #[arg(long, value_name = "COLUMN")]
    pub(crate) person_column: Option<String>,
    /// Column that holds the person's e-mail address, where that is the identifier; white space
    /// around it is left out
    #[arg(long, value_name = "COLUMN")]
    pub(crate) email_column: Option<String>,
}

/// When the events happened.
#[derive(Debug, Group)]
#[group(required = true, multiple = false)]
pub(crate) struct Moment {
    /// Column that holds the moment of the event
    #[arg(long, value_name = "COLUMN", requires = "timestamp_format")]
    pub(crate) timestamp_column: Option<String>,
    /// The events happen as they arrive, and may trigger campaigns
    #[arg(long)]
    pub(crate) now: bool,
}

#[derive(Debug, Group)]
pub(crate) struct CommonArgs {
    /// File to send: .csv, .jsonl or .ndjson, also with .gz; - is the standard input
    pub(crate) file: PathBuf,
    /// How the file is written, where its name does not tell
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// Character between the cells of a CSV file, like ';' or tab; the default is a comma, or what
    /// a first line sep= says
    #[arg(long, value_name = "CHARACTER")]
    pub(crate) delimiter: Option<Delimiter>,
    /// Sends to a simulator inside this process; needs no credentials
    #[arg(long, conflicts_with_all = ["base_url", "journal"])]
    pub(crate) rehearse: bool,
    /// Region of the account; the default is CUSTOMERIO_REGION or us
    #[arg(long, value_name = "us|eu")]
    pub(crate) region: Option<Region>,
    /// Sends to this address instead of the region's
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// Sends many records in a request, or one
    #[arg(long, value_enum, default_value = "batch")]
    pub(crate) mode: Mode,
    /// The most records in a request; a request is bounded to 500,000 bytes too
    #[arg(long, value_name = "N", default_value = "500", value_parser = up_to::<1000>)]
    pub(crate) batch_items: usize,
    /// The most requests in a window of time; the default is 1000/1s
    #[arg(long, value_name = "N/TIME", value_parser = quota)]
    pub(crate) limit: Option<Quota>,
    /// The most records in a window of time, whatever number of requests carries them; the default
    /// is 10000/1s
    #[arg(long, value_name = "N/TIME", value_parser = quota)]
    pub(crate) record_limit: Option<Quota>,
    /// The most requests in flight
    #[arg(long, value_name = "N", default_value = "32", value_parser = up_to::<1024>)]
    pub(crate) concurrency: usize,
    /// Goes on where the API rejects the first 100 records for the same reason
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// How long the server may keep the run waiting, all waits together less the time of work
    /// between them: while it is down or refuses connections, or asks for it
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = patience)]
    pub(crate) patience: Duration,
    /// Writes the report, a JSON object, to this file; it, the rejects file and the journal must be
    /// regular files of yours, and become readable by you only
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Writes why records were rejected or are unknown to this file, a JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Answers the questions of the plan with yes; of a stream, sends ids and rows that a plan
    /// would ask about
    #[arg(long)]
    pub(crate) yes: bool,
    /// Remembers a finished run, with all records accepted or rejected, in this file; the default
    /// is FILE.cio-journal
    #[arg(long, value_name = "FILE", conflicts_with = "no_journal")]
    pub(crate) journal: Option<PathBuf>,
    /// Does not remember a finished run
    #[arg(long)]
    pub(crate) no_journal: bool,
    /// Sends a finished run again, with the same event ids
    #[arg(long)]
    pub(crate) again: bool,
    /// Names this import, from which event ids are made; the default is a digest of the content and
    /// the mapping
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) import_id: Option<String>,
    /// Tells the import id, and with -vv each request, on the standard error
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

// === impl Args ===

impl Args {
    /// Reads the command line, or ends the process: with the help that was asked for, or with what
    /// is wrong.
    pub(crate) fn read() -> Self {
        Self::try_parse().unwrap_or_else(|error| {
            if !error.use_stderr() {
                error.exit();
            }
            // It repeats words of the command line, as of names that the shell put for `*`.
            let text = error.render().to_string();
            text.lines()
                .for_each(|line| complain(&files::escaped(line)));
            process::exit(error.exit_code())
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    Batch,
    Single,
}

/// Reads a whole number from 1 to `MOST`.
fn up_to<const MOST: usize>(text: &str) -> Result<usize> {
    let number = text.parse().context("write a whole number")?;
    ensure!(
        (1..=MOST).contains(&number),
        "write a number from 1 to {MOST}"
    );
    Ok(number)
}

/// Reads a number of requests or records in a window of time, as `100/1s`.
fn quota(text: &str) -> Result<Quota> {
    let usage = "write a number and a window of time, like 100/1s or 3000/500ms";
    let (number, window) = text.split_once('/').context(usage)?;
    Ok(Quota::new(
        number.parse().context(usage)?,
        duration(window).context(usage)?,
    )?)
}

fn patience(text: &str) -> Result<Duration> {
    duration(text).context("write a time, like 30s, 20m or 2h")
}

fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit);
    let number: u32 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number.into())),
        "s" => Some(Duration::from_secs(number.into())),
        "m" => Some(Duration::from_secs(u64::from(number) * 60)),
        "h" => Some(Duration::from_secs(u64::from(number) * 60 * 60)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn check(line: &str, accepted: bool) {
        let words = ["cio-import"].into_iter().chain(line.split_whitespace());
        let parsed = Args::try_parse_from(words);
        assert_eq!(parsed.is_ok(), accepted, "{line}: {:?}", parsed.err());
    }

    fn check_limit(text: &str, expected: Option<(u32, u128)>) {
        let found = quota(text).ok();
        assert_eq!(
            found.map(|quota| (quota.limit(), quota.window().as_millis())),
            expected,
            "{text}"
        );
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn people_need_exactly_one_identifier() {
        check("people a.csv --id-column id", true);
        check("people a.csv --email-column email", true);
        check("people a.csv", false);
        check("people a.csv --id-column id --email-column email", false);
    }

    #[test]
    fn events_need_a_moment_that_is_said_aloud() {
        let events = "events a.csv --person-column p --name-column n";
        check(
            &format!("{events} --timestamp-column t --timestamp-format %Y"),
            true,
        );
        check(&format!("{events} --now"), true);
        check(events, false);
        check(&format!("{events} --timestamp-column t"), false);
        check(&format!("{events} --timestamp-format %Y"), false);
        check(
            &format!("{events} --now --timestamp-column t --timestamp-format %Y"),
            false,
        );
        check(
            &format!("{events} --timestamp-column t --timestamp-format %m"),
            false,
        );
    }

    #[test]
    fn a_rehearsal_goes_nowhere_else() {
        check("people a.csv --id-column id --rehearse", true);
        check(
            "people a.csv --id-column id --rehearse --base-url https://example.com",
            false,
        );
        check("people a.csv --id-column id --rehearse --journal j", false);
    }

    #[test]
    fn limits_are_a_number_and_a_window() {
        check_limit("100/1s", Some((100, 1000)));
        check_limit("3000/500ms", Some((3000, 500)));
        check_limit("1/2m", Some((1, 120_000)));
        check_limit("1/1h", Some((1, 3_600_000)));
        for text in [
            "100",
            "/1s",
            "0/1s",
            "1/0s",
            "-1/1s",
            "1/1d",
            "1/s",
            "1/1",
            "99999999999/1s",
        ] {
            check_limit(text, None);
        }
    }
}
