//! The command line. [`crate::settings`] checks it and fills in defaults.

use std::path::PathBuf;
use std::process;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::builder::NonEmptyStringValueParser;
use clap::{ArgAction, Args as Group, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use customerio::client::Quota;
use customerio::{Region, Timestamp};

use crate::console::print_error;
use crate::display;
use crate::input::{Delimiter, Format};
use crate::mapping::{Empty, TimeFormat, TypeName};

/// Sends files of people, events and other records to Customer.io, within its rate limits.
#[derive(Debug, Parser)]
#[command(name = "cio-import", version, about, long_about = LONG_ABOUT, after_long_help = NOTES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const LONG_ABOUT: &str = "\
Sends files of people, events and other records to Customer.io, within its rate limits. An \
import can be repeated: no record takes effect twice.

Start with a rehearsal; it needs no credentials and sends nothing to Customer.io:

  cio-import people people.csv --id-column id --rehearse

The flags that matter most:

  --id-column COLUMN  the column that identifies the person (or --email-column)
  --rehearse          send to a simulator in this process; --dry-run only shows the plan
  --rejects FILE      write why records were not accepted";

const NOTES: &str = "\
Credentials: CUSTOMERIO_SITE_ID and CUSTOMERIO_TRACK_API_KEY.

Exit codes:
  0  every record was accepted; with --dry-run, every record can be sent
  1  the file, the mapping or the settings cannot be used, or the plan was not confirmed; nothing was
     sent
  2  wrong usage
  3  finished, but some records were rejected or are unknown; with --dry-run, some cannot be sent
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
    /// Delete one person per record
    Delete(PersonArgs),
    /// Delete one person per record and block their identifiers
    Suppress(PersonArgs),
    /// Unblock the identifiers of one person per record
    Unsuppress(PersonArgs),
    /// Add one device per record to a person, or remove it; other columns become attributes of the
    /// device
    Devices(DevicesArgs),
    /// Merge two people per record: one is kept, the other one is deleted
    Merges(MergesArgs),
    /// Relate one person per record to an object, or end that; other columns become attributes of
    /// the relationship
    Relationships(RelationshipsArgs),
    /// Create or update one object per record, or delete it; other columns become attributes
    Objects(ObjectsArgs),
    /// Show how far an import is, by its journal
    Status(StatusArgs),
    /// Ask Customer.io for what it accepted and did not apply since an import began, and read
    /// people back
    #[command(after_long_help = VERIFY_NOTES)]
    Verify(Box<VerifyArgs>),
    /// Print a script that completes commands and flags in a shell
    Completions(CompletionsArgs),
    /// Print the manual page of the program or of a command, as roff
    Man(ManArgs),
}

#[derive(Debug, Group)]
pub(crate) struct StatusArgs {
    /// File of the import, or its journal
    pub(crate) file: PathBuf,
    /// Journal of the import; the default is FILE.cio-journal
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
    /// Write a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

const VERIFY_NOTES: &str = "\
Credentials: CUSTOMERIO_APP_API_KEY.

Exit codes:
  0  the log has no failure of people in the file, and the people of the sample are as in the file
  1  the beginning of the run is unknown, or a file or a setting cannot be used
  2  wrong usage
  3  the log has failures, or people of the sample are not as in the file
  4  the API rejected the key
  5  no conclusion: the log is not complete yet, no longer reaches back, or could not be read";

#[derive(Debug, Group)]
pub(crate) struct VerifyArgs {
    /// File of the import; it is read if a column identifies the person
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) person: VerifyColumn,
    /// Read this many people back, and compare their attributes with the file: as text, and by the
    /// flags about values
    #[arg(
        long, value_name = "N", value_parser = up_to::<1000>, requires = "VerifyColumn"
    )]
    pub(crate) sample: Option<usize>,
    /// Choose other people for the sample
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "sample")]
    pub(crate) seed: u64,
    /// Kind of the records, if there is no journal; it is that of the command of the import
    #[arg(long, value_enum)]
    pub(crate) kind: Option<VerifyKind>,
    /// Ask about objects of this type too; may be repeated
    #[arg(long, value_name = "NUMBER")]
    pub(crate) object_type: Vec<u32>,
    /// Write each failure to this file, one JSON object per line; its mode becomes 0600
    #[arg(long, value_name = "FILE")]
    pub(crate) failures: Option<PathBuf>,
    /// Write the result as a JSON object
    #[arg(long)]
    pub(crate) json: bool,

    /// Time of the first request, like 2026-01-31T20:00:00Z or unix seconds; the default is that in
    /// the journal
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = "The run")]
    pub(crate) since: Option<i64>,
    /// Time of the last request; the default is that in the journal
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = "The run")]
    pub(crate) until: Option<i64>,
    /// Journal of the import; the default is FILE.cio-journal
    #[arg(long, value_name = "FILE", help_heading = "The run")]
    pub(crate) journal: Option<PathBuf>,
    /// Report of the import, in the place of a journal
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "journal",
        help_heading = "The run"
    )]
    pub(crate) report: Option<PathBuf>,

    /// How long after a request a failure is in the log at the latest; not documented by
    /// Customer.io
    #[arg(
        long, value_name = "TIME", default_value = "5m", value_parser = time,
        help_heading = "The activity log"
    )]
    pub(crate) lag: Duration,
    /// How long a failure stays in the log; not documented by Customer.io
    #[arg(
        long, value_name = "TIME", default_value = "720h", value_parser = time,
        help_heading = "The activity log"
    )]
    pub(crate) retention: Duration,
    /// Wait until the log is complete
    #[arg(long, help_heading = "The activity log")]
    pub(crate) wait: bool,

    #[command(flatten)]
    pub(crate) empty: EmptyArgs,
    #[command(flatten)]
    pub(crate) types: TypeArgs,
    #[command(flatten)]
    pub(crate) attributes: AttributeArgs,

    #[command(flatten)]
    pub(crate) format: FormatArgs,

    /// Region of the account; the default is that in the journal, CUSTOMERIO_REGION or us
    #[arg(long, value_name = "us|eu", help_heading = "Destination")]
    pub(crate) region: Option<Region>,
    /// Ask this address instead of the region's
    #[arg(
        long,
        value_name = "URL",
        conflicts_with = "region",
        help_heading = "Destination"
    )]
    pub(crate) base_url: Option<String>,
}

/// The column that identifies the person, if failures are to be found in the file.
#[derive(Debug, Group)]
#[group(required = false, multiple = false)]
pub(crate) struct VerifyColumn {
    /// Column with the person's id, to find the failures in the file
    #[arg(long, alias = "person-column", value_name = "COLUMN")]
    pub(crate) id_column: Option<String>,
    /// Column with the person's e-mail address, if that identifies the person
    #[arg(long, value_name = "COLUMN")]
    pub(crate) email_column: Option<String>,
    /// Column with the person's phone number; the log does not have it, so it serves the sample
    /// only
    #[arg(long, value_name = "COLUMN")]
    pub(crate) phone_column: Option<String>,
    /// Column with the id that Customer.io gave the person, without the prefix cio_
    #[arg(long, value_name = "COLUMN")]
    pub(crate) cio_id_column: Option<String>,
}

/// The kinds of records, by which the effect on a person is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VerifyKind {
    People,
    Events,
    Delete,
    Suppress,
    Unsuppress,
    Devices,
    Merges,
    Relationships,
    Objects,
}

#[derive(Debug, Group)]
pub(crate) struct CompletionsArgs {
    /// Shell that reads the script
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Debug, Group)]
pub(crate) struct ManArgs {
    /// Command, like people; without one, the page is about the program
    pub(crate) command: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct PeopleArgs {
    #[command(flatten)]
    pub(crate) person: PeopleColumn,
    /// Update people and never create them; the API accepts the update of a person who does not
    /// exist, and drops it
    #[arg(long)]
    pub(crate) update_only: bool,
    #[command(flatten)]
    pub(crate) empty: EmptyArgs,
    #[command(flatten)]
    pub(crate) types: TypeArgs,
    #[command(flatten)]
    pub(crate) attributes: AttributeArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// A command that needs nothing but the person.
#[derive(Debug, Group)]
pub(crate) struct PersonArgs {
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
    /// Column with the person's phone number, like +15551234567, if the workspace identifies people
    /// by it
    #[arg(long, value_name = "COLUMN")]
    pub(crate) phone_column: Option<String>,
    /// Column with the id that Customer.io gave the person, without the prefix cio_
    #[arg(long, value_name = "COLUMN")]
    pub(crate) cio_id_column: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    pub(crate) person: EventsColumn,
    #[command(flatten)]
    pub(crate) name: EventName,
    #[command(flatten)]
    pub(crate) moment: Moment,
    /// Column from which event ids are made, with name, person and time; events with the same id
    /// count once; by default, ids are made from the content and the position in the file
    #[arg(long, value_name = "COLUMN")]
    pub(crate) event_id_column: Option<String>,
    /// Start over and send all events with other ids, as new events; an interrupted run goes on
    #[arg(long, conflicts_with_all = ["again", "no_journal"])]
    pub(crate) new_ids: bool,
    #[command(flatten)]
    pub(crate) types: TypeArgs,
    #[command(flatten)]
    pub(crate) attributes: AttributeArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// The column that identifies the person of the event.
#[derive(Debug, Group)]
#[group(required = true, multiple = false)]
pub(crate) struct EventsColumn {
    /// Column with the person's id
    #[arg(long, alias = "id-column", value_name = "COLUMN")]
    pub(crate) person_column: Option<String>,
    /// Column with the person's e-mail address, if that identifies the person; white space around
    /// it is removed
    #[arg(long, value_name = "COLUMN")]
    pub(crate) email_column: Option<String>,
    /// Column with the person's phone number, like +15551234567, if the workspace identifies people
    /// by it
    #[arg(long, value_name = "COLUMN")]
    pub(crate) phone_column: Option<String>,
    /// Column with the id that Customer.io gave the person, without the prefix cio_
    #[arg(long, value_name = "COLUMN")]
    pub(crate) cio_id_column: Option<String>,
}

/// The name of the events.
#[derive(Debug, Group)]
#[group(required = true, multiple = false)]
pub(crate) struct EventName {
    /// Column with the name of the event
    #[arg(long, value_name = "COLUMN")]
    pub(crate) name_column: Option<String>,
    /// Name of all events
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: Option<String>,
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

#[derive(Debug, Group)]
pub(crate) struct DevicesArgs {
    #[command(flatten)]
    pub(crate) person: PeopleColumn,
    /// Column with the token of the device
    #[arg(long, value_name = "COLUMN")]
    pub(crate) token_column: String,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
    /// Column with the time when the device was used last; it may be empty
    #[arg(
        long,
        value_name = "COLUMN",
        requires = "timestamp_format",
        conflicts_with = "delete"
    )]
    pub(crate) last_used_column: Option<String>,
    /// Format of the time: rfc3339, unix (seconds), or a strftime format
    #[arg(long, value_name = "FORMAT", requires = "last_used_column")]
    pub(crate) timestamp_format: Option<TimeFormat>,
    #[command(flatten)]
    pub(crate) attributes: AttributeArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// The platform of the devices, or that they are removed.
#[derive(Debug, Group)]
#[group(required = true, multiple = false)]
pub(crate) struct PlatformArgs {
    /// Column with the platform of the device: ios or android
    #[arg(long, value_name = "COLUMN")]
    pub(crate) platform_column: Option<String>,
    /// Platform of all devices
    #[arg(long, value_enum)]
    pub(crate) platform: Option<PlatformName>,
    /// Remove the devices; other columns are not used
    #[arg(long, conflicts_with_all = ["map", "only", "except", "set"])]
    pub(crate) delete: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlatformName {
    Ios,
    Android,
}

#[derive(Debug, Group)]
pub(crate) struct MergesArgs {
    #[command(flatten)]
    pub(crate) primary: PrimaryColumn,
    #[command(flatten)]
    pub(crate) secondary: SecondaryColumn,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// The column that identifies the person who is kept.
#[derive(Debug, Group)]
#[group(required = true, multiple = false)]
pub(crate) struct PrimaryColumn {
    /// Column with the id of the person who is kept
    #[arg(long, value_name = "COLUMN")]
    pub(crate) primary_id_column: Option<String>,
    /// Column with the e-mail address of the person who is kept
    #[arg(long, value_name = "COLUMN")]
    pub(crate) primary_email_column: Option<String>,
    /// Column with the cio_id of the person who is kept
    #[arg(long, value_name = "COLUMN")]
    pub(crate) primary_cio_id_column: Option<String>,
}

/// The column that identifies the person who is merged and deleted.
#[derive(Debug, Group)]
#[group(required = true, multiple = false)]
pub(crate) struct SecondaryColumn {
    /// Column with the id of the person who is merged and deleted
    #[arg(long, value_name = "COLUMN")]
    pub(crate) secondary_id_column: Option<String>,
    /// Column with the e-mail address of the person who is merged and deleted
    #[arg(long, value_name = "COLUMN")]
    pub(crate) secondary_email_column: Option<String>,
    /// Column with the cio_id of the person who is merged and deleted
    #[arg(long, value_name = "COLUMN")]
    pub(crate) secondary_cio_id_column: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct RelationshipsArgs {
    #[command(flatten)]
    pub(crate) person: PeopleColumn,
    #[command(flatten)]
    pub(crate) object: ObjectArgs,
    /// End the relationships; other columns are not used
    #[arg(
        long, conflicts_with_all = ["types", "timestamp_format", "map", "only", "except", "set"]
    )]
    pub(crate) delete: bool,
    #[command(flatten)]
    pub(crate) types: TypeArgs,
    #[command(flatten)]
    pub(crate) attributes: AttributeArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Debug, Group)]
pub(crate) struct ObjectsArgs {
    #[command(flatten)]
    pub(crate) object: ObjectArgs,
    /// Delete the objects; other columns are not used
    #[arg(
        long,
        conflicts_with_all = ["types", "timestamp_format", "map", "only", "except", "set", "empty"]
    )]
    pub(crate) delete: bool,
    #[command(flatten)]
    pub(crate) empty: EmptyArgs,
    #[command(flatten)]
    pub(crate) types: TypeArgs,
    #[command(flatten)]
    pub(crate) attributes: AttributeArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// The columns that identify an object.
#[derive(Debug, Group)]
pub(crate) struct ObjectArgs {
    /// Column with the id of the object
    #[arg(long, value_name = "COLUMN")]
    pub(crate) object_id_column: String,
    #[command(flatten)]
    pub(crate) object_type: ObjectType,
}

/// The type of the objects.
#[derive(Debug, Group)]
#[group(required = true, multiple = false)]
pub(crate) struct ObjectType {
    /// Number of the type of all objects, as Customer.io shows it
    #[arg(long, value_name = "NUMBER")]
    pub(crate) object_type: Option<u32>,
    /// Column with the number of the object's type
    #[arg(long, value_name = "COLUMN")]
    pub(crate) object_type_column: Option<String>,
}

/// How the file is read.
#[derive(Debug, Group)]
pub(crate) struct FormatArgs {
    /// Format of the file, if its name does not show it
    #[arg(long, help_heading = "File")]
    pub(crate) format: Option<Format>,
    /// Delimiter of a CSV file, like ';' or tab; the default is a comma, or the delimiter of a
    /// first line sep=
    #[arg(long, value_name = "CHARACTER", help_heading = "File")]
    pub(crate) delimiter: Option<Delimiter>,

    /// Treat this text as no value, like NULL or N/A; may be repeated
    #[arg(
        long = "null", value_name = "WORD", value_parser = NonEmptyStringValueParser::new(),
        help_heading = "File"
    )]
    pub(crate) nulls: Vec<String>,
}

/// The effect of an empty value.
#[derive(Debug, Group)]
pub(crate) struct EmptyArgs {
    /// Leave out attributes whose value is empty, or remove them
    #[arg(long, value_enum, default_value = "skip", help_heading = "Values")]
    pub(crate) empty: Empty,
}

/// The types of attributes.
#[derive(Debug, Group)]
pub(crate) struct TypeArgs {
    /// Convert the values of a column: int, float, bool, timestamp, timestamp:FORMAT, json or
    /// string; may be repeated; without it, text stays text
    ///
    /// A record with a value of another type is rejected with its line and column
    #[arg(
        long = "type", value_name = "COLUMN=TYPE", value_parser = column_type,
        help_heading = "Values"
    )]
    pub(crate) types: Vec<(String, TypeName)>,
    /// Format of times: rfc3339, unix (seconds), or a strftime format
    #[arg(long, value_name = "FORMAT", help_heading = "Values")]
    pub(crate) timestamp_format: Option<TimeFormat>,
}

/// Which columns become attributes, and under which names.
#[derive(Debug, Group)]
pub(crate) struct AttributeArgs {
    /// Send a column as the attribute TO; may be repeated
    #[arg(long, value_name = "FROM=TO", value_parser = pair, help_heading = "Values")]
    pub(crate) map: Vec<(String, String)>,
    /// Send these columns as attributes and no others; may be repeated
    #[arg(
        long, value_name = "COLUMN,..", value_parser = Columns::parse, conflicts_with = "except",
        help_heading = "Values"
    )]
    pub(crate) only: Vec<Columns>,
    /// Do not send these columns as attributes; may be repeated
    #[arg(
        long, value_name = "COLUMN,..", value_parser = Columns::parse, help_heading = "Values"
    )]
    pub(crate) except: Vec<Columns>,
    /// Send this attribute with each record; may be repeated; the value is text, or of the --type
    /// of NAME
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, help_heading = "Values")]
    pub(crate) set: Vec<(String, String)>,
}

/// Names of columns. Commas separate them; `\,` is a comma in a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Columns(pub(crate) Vec<String>);

/// The flags of all commands, in the order of `--help`.
#[derive(Debug, Group)]
pub(crate) struct CommonArgs {
    /// File to send: .csv, .jsonl or .ndjson, also with .gz; - is the standard input
    pub(crate) file: PathBuf,
    /// Send to a simulator in this process; needs no credentials
    #[arg(long, conflicts_with_all = ["base_url", "journal"])]
    pub(crate) rehearse: bool,
    /// Show the plan and send nothing; needs no credentials, and writes no file
    #[arg(long, conflicts_with = "rehearse")]
    pub(crate) dry_run: bool,
    /// Write each record that was not accepted, and the reason, to this file
    ///
    /// The rows have the columns of the input and _line, _outcome, _reason, _response and _record,
    /// as CSV or JSON lines as the input. A corrected file can be imported: these columns are not
    /// sent
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Write the report, a JSON object, to this file
    ///
    /// The report, the rejects file and the journal must be regular files of your own; their mode
    /// becomes 0600
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Send without asking: answer the questions of the plan with yes
    ///
    /// Every run that is no rehearsal asks. A stream has no plan, and the standard input cannot be
    /// asked while records are read from it: then this flag is needed
    #[arg(long)]
    pub(crate) yes: bool,
    /// Reject records that the plan would ask about: changed ids, rows in cells, values that
    /// Customer.io reads as the wrong boolean
    #[arg(long)]
    pub(crate) reject_suspects: bool,
    /// Write plan, progress and summary as JSON to the standard output, one object per line
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the import id, and with -vv each request, on the standard error
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    #[command(flatten)]
    pub(crate) format: FormatArgs,

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
    /// Share both limits with all programs that use the same Redis or Valkey and credentials; the
    /// default is CUSTOMERIO_SHARED_LIMIT, where the URL may have a password
    #[arg(
        long,
        value_name = "URL",
        conflicts_with = "rehearse",
        help_heading = "Limits"
    )]
    pub(crate) shared_limit: Option<String>,
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
    /// Start over and send all records again, with the same event ids; an interrupted run with
    /// this flag goes on
    #[arg(long, help_heading = "Stopping and repeating")]
    pub(crate) again: bool,
    /// File that records what is settled, so that the same command goes on after a stop; the
    /// default is FILE.cio-journal
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "no_journal",
        help_heading = "Stopping and repeating"
    )]
    pub(crate) journal: Option<PathBuf>,
    /// Do not record what is settled: each run sends all records
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

// === impl Command ===

impl Command {
    /// Returns the flags of all commands that send.
    pub(crate) fn common(&self) -> Option<&CommonArgs> {
        Some(match self {
            Self::People(args) => &args.common,
            Self::Events(args) => &args.common,
            Self::Delete(args) | Self::Suppress(args) | Self::Unsuppress(args) => &args.common,
            Self::Devices(args) => &args.common,
            Self::Merges(args) => &args.common,
            Self::Relationships(args) => &args.common,
            Self::Objects(args) => &args.common,
            Self::Completions(_) | Self::Man(_) | Self::Status(_) | Self::Verify(_) => return None,
        })
    }
}

// === impl Columns ===

impl Columns {
    fn parse(text: &str) -> Result<Self> {
        let mut columns = Vec::new();
        let mut rest = text;
        while let Some((column, tail)) = split(rest, ',') {
            columns.push(column);
            rest = tail;
        }
        columns.push(rest.replace("\\,", ","));
        ensure!(
            columns.iter().all(|column| !column.is_empty()),
            "write names of columns, separated by commas"
        );
        Ok(Self(columns))
    }
}

/// Parses a name and a value, like `plan=pro`. `\=` is an equals sign in the name.
fn pair(text: &str) -> Result<(String, String)> {
    let (name, value) = split(text, '=').context("write a name, an equals sign and a value")?;
    ensure!(!name.is_empty(), "write a name before the equals sign");
    Ok((name, value.to_owned()))
}

fn column_type(text: &str) -> Result<(String, TypeName)> {
    let (column, name) = pair(text).context("write COLUMN=TYPE, like age=int")?;
    Ok((column, name.parse()?))
}

/// Splits at the first separator without a backslash before it, and removes the backslash before
/// the others.
fn split(text: &str, separator: char) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (head, tail) = rest.split_once(separator)?;
        rest = tail;
        match head.strip_suffix('\\') {
            None => return Some((name + head, tail)),
            Some(escaped) => {
                name += escaped;
                name.push(separator);
            }
        }
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
    time(text)
}

fn time(text: &str) -> Result<Duration> {
    duration(text).context("write a time, like 30s, 20m or 2h")
}

/// Parses a point in time: RFC 3339, or seconds since 1970.
fn moment(text: &str) -> Result<i64> {
    let format = match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => TimeFormat::Unix,
        false => TimeFormat::Rfc3339,
    };
    let seconds = format
        .parse(text)
        .context("write a time like 2026-01-31T20:00:00Z")?;
    // The API's times have this range, and milliseconds are far above it.
    ensure!(
        Timestamp::new(seconds).is_ok(),
        "write seconds since 1970, not milliseconds"
    );
    Ok(seconds)
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
    fn every_kind_has_its_columns() {
        check("delete a.csv --id-column id", true);
        check("suppress a.csv --email-column email", true);
        check("unsuppress a.csv --phone-column phone", true);
        check("delete a.csv", false);
        check("delete a.csv --id-column id --set a=b", false);
        let devices = "devices a.csv --cio-id-column c --token-column t";
        check(&format!("{devices} --platform-column p"), true);
        check(&format!("{devices} --platform ios"), true);
        check(&format!("{devices} --delete"), true);
        check(devices, false);
        check(&format!("{devices} --platform windows"), false);
        check(&format!("{devices} --platform ios --delete"), false);
        check(&format!("{devices} --delete --only a"), false);
        check(&format!("{devices} --platform ios --type a=int"), false);
        let merges = "merges a.csv --primary-id-column a";
        check(&format!("{merges} --secondary-email-column b"), true);
        check(merges, false);
        let relationships = "relationships a.csv --id-column id --object-id-column o";
        check(&format!("{relationships} --object-type 1"), true);
        check(&format!("{relationships} --object-type-column t"), true);
        check(&format!("{relationships} --object-type 1 --delete"), true);
        check(&format!("{relationships} --object-type one"), false);
        check(relationships, false);
        let objects = "objects a.csv --object-id-column o --object-type 1";
        check(&format!("{objects} --empty remove"), true);
        check(&format!("{objects} --delete"), true);
        check(&format!("{objects} --delete --empty remove"), false);
        check(&format!("{objects} --update-only"), false);
        let events = "events a.csv --person-column p --now";
        check(&format!("{events} --name won"), true);
        check("events a.csv --id-column p --now --name won", true);
        check(&format!("{events} --name won --name-column n"), false);
        check(&format!("{events} --name won --empty remove"), false);
        check(events, false);
    }

    #[test]
    fn a_dry_run_sends_nothing_and_writes_nothing() {
        let people = "people a.csv --id-column id --dry-run";
        check(people, true);
        // So that it can be added to any command that sends.
        for flag in ["--json", "--yes", "--again", "--report r", "--journal j"] {
            check(&format!("{people} {flag}"), true);
        }
        check(&format!("{people} --rehearse"), false);
    }

    #[test]
    fn flags_about_values_have_a_form() {
        let people = "people a.csv --id-column id";
        for flags in [
            "--type age=int --type at=timestamp:%d/%m/%Y",
            r"--type a\=b=int",
            "--map a=b --set c=d=e",
            "--only a,b --only c",
            "--except a",
            "--null NULL --null N/A",
            "--empty remove",
        ] {
            check(&format!("{people} {flags}"), true);
        }
        for flags in [
            "--type age",
            "--type age=integer",
            "--type at=timestamp:%m",
            "--type =int",
            "--map a",
            "--map =b",
            "--set a",
            "--only a,",
            "--only a --except b",
            "--empty drop",
        ] {
            check(&format!("{people} {flags}"), false);
        }
    }

    #[test]
    fn a_verification_needs_a_column_for_a_sample_only() {
        check("verify a.csv", true);
        check("verify a.csv --id-column id --sample 50", true);
        check("verify a.csv --person-column id --sample 50", true);
        check("verify a.csv --sample 50", false);
        check("verify a.csv --id-column id --email-column e", false);
        check("verify a.csv --id-column id --seed 2", false);
        check("verify a.csv --journal j --report r", false);
        check("verify a.csv --base-url https://a.b --region eu", false);
        check("verify a.csv --since 2026-01-31T20:00:00+01:00", true);
        check("verify a.csv --since 1700000000 --until 1700000600", true);
        check("verify a.csv --since 1700000000000", false);
        check("verify a.csv --since yesterday", false);
    }

    #[test]
    fn separators_in_names_are_escaped() {
        let of = |text: &str| pair(text).unwrap();
        assert_eq!(of("a=b=c"), ("a".into(), "b=c".into()));
        assert_eq!(of(r"a\=b=c"), ("a=b".into(), "c".into()));
        let columns = |text: &str| Columns::parse(text).unwrap().0;
        assert_eq!(columns("a,b"), ["a", "b"]);
        assert_eq!(columns(r"a\,b,c"), ["a,b", "c"]);
        assert_eq!(columns(r"c,a\,b"), ["c", "a,b"]);
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
