//! The command line. [`crate::settings`] checks it and fills in defaults.

use std::path::PathBuf;
use std::process;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::builder::NonEmptyStringValueParser;
use clap::{ArgAction, Args as Group, Parser, Subcommand, ValueEnum};

use customerio::Region;
use customerio::client::Quota;

use crate::console::print_error;
use crate::display;
use crate::input::{Delimiter, Format};
use crate::mapping::TimeFormat;

/// Sends files of people and events to Customer.io, within its rate limits.
#[derive(Debug, Parser)]
#[command(name = "cio-import", version, about, long_about = LONG_ABOUT, after_long_help = NOTES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const LONG_ABOUT: &str = "\
Sends files of people and events to Customer.io, within its rate limits. An import can be \
repeated: no record takes effect twice.

Start with a rehearsal; it needs no credentials and sends nothing to Customer.io:

  cio-import people people.csv --id-column id --rehearse

The flags that matter most:

  --id-column COLUMN  the column that identifies the person (or --email-column)
  --rehearse          send to a simulator in this process
  --rejects FILE      write why records were not accepted";

const NOTES: &str = "\
Credentials: CUSTOMERIO_SITE_ID and CUSTOMERIO_TRACK_API_KEY.

Exit codes:
  0  every record was accepted
  1  the file, the mapping or the settings cannot be used; nothing was sent
  2  wrong usage
  3  finished, but some records were rejected or are unknown
  4  the API rejected the credentials
  5  stopped before the end; run the same command again

Ctrl-C, SIGTERM and SIGHUP finish the requests in flight and write the report. A second signal \
stops at once.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create or update one person per record; other columns become attributes
    People(PeopleArgs),
    /// Send one event per record; other columns become attributes of the event
    Events(EventsArgs),
}

#[derive(Debug, Group)]
pub(crate) struct PeopleArgs {
    #[command(flatten)]
    pub(crate) person: PeopleColumn,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// The column that identifies the person.
#[derive(Debug, Group)]
#[group(required = true, multiple = false)]
pub(crate) struct PeopleColumn {
    /// Column with the person's id
    #[arg(long, value_name = "COLUMN")]
    pub(crate) id_column: Option<String>,
    /// Column with the person's e-mail address, if that identifies the person; white space around
    /// it is removed
    #[arg(long, value_name = "COLUMN")]
    pub(crate) email_column: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    pub(crate) person: EventsColumn,
    /// Column with the name of the event
    #[arg(long, value_name = "COLUMN")]
    pub(crate) name_column: String,
    #[command(flatten)]
    pub(crate) moment: Moment,
    /// Format of the timestamp column: rfc3339, unix (seconds), or a strftime format
    #[arg(long, value_name = "FORMAT", requires = "timestamp_column")]
    pub(crate) timestamp_format: Option<TimeFormat>,
    /// Column from which event ids are made, with name and person; events with the same id count
    /// once; by default, ids are made from the content and the position in the file
    #[arg(long, value_name = "COLUMN")]
    pub(crate) event_id_column: Option<String>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// The column that identifies the person of the event.
#[derive(Debug, Group)]
#[group(required = true, multiple = false)]
pub(crate) struct EventsColumn {
    /// Column with the person's id
    #[arg(long, value_name = "COLUMN")]
    pub(crate) person_column: Option<String>,
    /// Column with the person's e-mail address, if that identifies the person; white space around
    /// it is removed
    #[arg(long, value_name = "COLUMN")]
    pub(crate) email_column: Option<String>,
}

/// When the events happened.
#[derive(Debug, Group)]
#[group(required = true, multiple = false)]
pub(crate) struct Moment {
    /// Column with the time of the event
    #[arg(long, value_name = "COLUMN", requires = "timestamp_format")]
    pub(crate) timestamp_column: Option<String>,
    /// The events happen when the API receives them; they may trigger campaigns
    #[arg(long)]
    pub(crate) now: bool,
}

/// The flags of both commands, in the order of `--help`.
#[derive(Debug, Group)]
pub(crate) struct CommonArgs {
    /// File to send: .csv, .jsonl or .ndjson, also with .gz; - is the standard input
    pub(crate) file: PathBuf,
    /// Send to a simulator in this process; needs no credentials
    #[arg(long, conflicts_with_all = ["base_url", "journal"])]
    pub(crate) rehearse: bool,
    /// Write each record that was not accepted, and the reason, to this file, one JSON object per
    /// line
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Write the report, a JSON object, to this file
    ///
    /// The report, the rejects file and the journal must be regular files of your own; their mode
    /// becomes 0600
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Answer the questions of the plan with yes
    ///
    /// A stream has no plan: its suspect records are sent with this flag and rejected without it
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print the import id, and with -vv each request, on the standard error
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Format of the file, if its name does not show it
    #[arg(long, help_heading = "File")]
    pub(crate) format: Option<Format>,
    /// Delimiter of a CSV file, like ';' or tab; the default is a comma, or the delimiter of a
    /// first line sep=
    #[arg(long, value_name = "CHARACTER", help_heading = "File")]
    pub(crate) delimiter: Option<Delimiter>,

    /// Region of the account; the default is CUSTOMERIO_REGION or us
    #[arg(long, value_name = "us|eu", help_heading = "Destination")]
    pub(crate) region: Option<Region>,
    /// Send to this address instead of the region's
    #[arg(long, value_name = "URL", help_heading = "Destination")]
    pub(crate) base_url: Option<String>,

    /// The most requests in a window of time; the default is 1000/1s
    #[arg(long, value_name = "N/TIME", value_parser = quota, help_heading = "Limits")]
    pub(crate) limit: Option<Quota>,
    /// The most records in a window of time, in all requests together; the default is 10000/1s
    #[arg(long, value_name = "N/TIME", value_parser = quota, help_heading = "Limits")]
    pub(crate) record_limit: Option<Quota>,
    /// The most requests in flight
    #[arg(
        long, value_name = "N", default_value = "32", value_parser = up_to::<1024>,
        help_heading = "Limits"
    )]
    pub(crate) concurrency: usize,
    /// Send many records in a request, or one
    #[arg(long, value_enum, default_value = "batch", help_heading = "Limits")]
    pub(crate) mode: Mode,
    /// The most records in a request; a request has at most 500,000 bytes too
    #[arg(
        long, value_name = "N", default_value = "500", value_parser = up_to::<1000>,
        help_heading = "Limits"
    )]
    pub(crate) batch_items: usize,

    /// The most time to wait for the server, in total: while it fails, refuses connections,
    /// throttles, or asks for a wait
    ///
    /// Time without a wait is subtracted from the total again
    #[arg(
        long, alias = "patience", value_name = "TIME", default_value = "1h",
        value_parser = max_wait, help_heading = "Stopping and repeating"
    )]
    pub(crate) max_wait: Duration,
    /// Go on if the API rejects the first 100 records for the same reason
    #[arg(long, help_heading = "Stopping and repeating")]
    pub(crate) keep_going: bool,
    /// Send a finished import again, with the same event ids
    #[arg(long, help_heading = "Stopping and repeating")]
    pub(crate) again: bool,
    /// File that records that the import is finished; the default is FILE.cio-journal
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "no_journal",
        help_heading = "Stopping and repeating"
    )]
    pub(crate) journal: Option<PathBuf>,
    /// Do not record that the import is finished
    #[arg(long, help_heading = "Stopping and repeating")]
    pub(crate) no_journal: bool,
    /// Id of this import, from which event ids are made; the default is a digest of the content and
    /// the mapping
    #[arg(
        long, value_name = "ID", value_parser = NonEmptyStringValueParser::new(),
        help_heading = "Stopping and repeating"
    )]
    pub(crate) import_id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    Batch,
    Single,
}

// === impl Args ===

impl Args {
    /// Parses the command line. Ends the process after `--help`, `--version` or an error.
    pub(crate) fn read() -> Self {
        Self::try_parse().unwrap_or_else(|error| {
            if !error.use_stderr() {
                error.exit();
            }
            // The error repeats arguments, such as file names that the shell put for `*`.
            let text = error.render().to_string();
            text.lines()
                .for_each(|line| print_error(&display::escaped(line)));
            process::exit(error.exit_code())
        })
    }
}

/// Parses a whole number from 1 to `MOST`.
fn up_to<const MOST: usize>(text: &str) -> Result<usize> {
    let number = text.parse().context("write a whole number")?;
    ensure!(
        (1..=MOST).contains(&number),
        "write a number from 1 to {MOST}"
    );
    Ok(number)
}

/// Parses a number of requests or records in a window of time, like `100/1s`.
fn quota(text: &str) -> Result<Quota> {
    let usage = "write a number and a window of time, like 100/1s or 3000/500ms";
    let (number, window) = text.split_once('/').context(usage)?;
    Ok(Quota::new(
        number.parse().context(usage)?,
        duration(window).context(usage)?,
    )?)
}

fn max_wait(text: &str) -> Result<Duration> {
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
    fn events_need_an_explicit_time() {
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
    fn a_rehearsal_has_no_other_destination_and_no_journal() {
        check("people a.csv --id-column id --rehearse", true);
        check(
            "people a.csv --id-column id --rehearse --base-url https://example.com",
            false,
        );
        check("people a.csv --id-column id --rehearse --journal j", false);
    }

    #[test]
    fn patience_is_an_alias_of_max_wait() {
        for flag in ["--max-wait", "--patience"] {
            let words = [
                "cio-import",
                "people",
                "a.csv",
                "--id-column",
                "id",
                flag,
                "3s",
            ];
            let Command::People(people) = Args::try_parse_from(words).unwrap().command else {
                unreachable!()
            };
            assert_eq!(people.common.max_wait, Duration::from_secs(3), "{flag}");
        }
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
