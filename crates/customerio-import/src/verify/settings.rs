//! The settings of a verification: the command line, the environment and the journal.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use customerio::app::{AppCredentials, FailureQuery};
use customerio::client::Client;
use customerio::{Credentials, Endpoint, Region, Timestamp};

use super::sample::Expected;
use super::started::Run;
use crate::args::{VerifyArgs, VerifyColumn};
use crate::console::Output;
use crate::display;
use crate::files::{Identity, Role, Roles, truncate};
use crate::input::{Dialect, Input};
use crate::mapping::{Identifier, Kind, Mapping, PersonColumn, ValueRules, hex};
use crate::settings::{default_journal, value_rules};

/// The settings of a verification.
#[derive(Debug)]
pub(super) struct Settings {
    /// The file of the import, for messages.
    pub(super) file: String,
    pub(super) span: Span,
    pub(super) query: FailureQuery,
    /// The lag and the retention of the query.
    pub(super) assumed: [Duration; 2],
    /// Whether to wait until the log is complete.
    pub(super) waits: bool,
    /// How to find people in the file, if a column identifies them.
    pub(super) people: Option<People>,
    pub(super) sample: Option<SampleSettings>,
    /// The file for failures.
    pub(super) failures: Option<File>,
    pub(super) output: Output,
    pub(super) client: Client,
}

/// The time of a run, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) since: i64,
    pub(super) source: SpanSource,
    /// The time of the last request, if it is known.
    pub(super) until: Option<i64>,
    /// Whether the journal or the report lacks the outcome of a record.
    pub(super) is_unfinished: bool,
}

/// Where the beginning of the run is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanSource {
    Flag,
    Journal,
    Report,
}

/// The file of the import, and the column that identifies its people.
#[derive(Clone, Debug)]
pub(super) struct People {
    pub(super) input: Input,
    pub(super) mapping: Mapping,
    pub(super) identifier: Identifier,
    /// The digest of the content, which is that of the journal, if the journal has it.
    pub(super) digest: Option<[u8; 32]>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct SampleSettings {
    pub(super) size: usize,
    pub(super) seed: u64,
    pub(super) expected: Expected,
}

impl Settings {
    /// Reads the journal and the environment, and opens the files.
    ///
    /// # Errors
    ///
    /// Fails if the beginning of the run is unknown, if a file cannot be used, if the key is
    /// missing, and if the address would send it unencrypted.
    pub(super) fn new(args: VerifyArgs) -> Result<Self> {
        let (run, source) = run(&args)?;
        let span = span(&args, &run, source)?;
        let kind = match args.kind.and_then(|kind| kind.to_possible_value()) {
            Some(kind) => kind.get_name().to_owned(),
            None => run.kind.clone().unwrap_or_else(|| "people".to_owned()),
        };
        let sample = match args.sample {
            None => None,
            Some(size) => Some(SampleSettings {
                size,
                seed: args.seed,
                expected: Expected::of_kind(&kind)?,
            }),
        };
        let mut settings = Self {
            file: display::path(&args.file),
            span,
            query: query(&args, span.since)?,
            assumed: [args.lag, args.retention],
            waits: args.wait,
            people: None,
            sample,
            failures: None,
            output: match args.json {
                true => Output::Json,
                false => Output::Text,
            },
            client: client(&args, &run)?,
        };
        let (path, roles) = (args.failures.clone(), roles(&args));
        settings.people = people(args, run.content.as_deref())?;
        // The last step, so that no error leaves an empty file.
        settings.failures = path.map(|path| open_failures(&path, roles)).transpose()?;
        Ok(settings)
    }
}

/// Reads the journal or the report. Without `--since`, one of them must exist.
fn run(args: &VerifyArgs) -> Result<(Run, SpanSource)> {
    if let Some(path) = &args.report {
        return Ok((Run::of_report(path)?, SpanSource::Report));
    }
    let path = journal_path(args);
    // Anything but a file could block.
    let is_other = fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file());
    ensure!(
        !is_other,
        "{}: is not a regular file; name a journal with --journal",
        display::path(&path)
    );
    match File::open(&path) {
        Ok(file) => Ok((Run::of_journal(&file, &path)?, SpanSource::Journal)),
        Err(error) if error.kind() == ErrorKind::NotFound && args.journal.is_none() => {
            ensure!(
                args.since.is_some(),
                "{}: there is no journal, so the beginning of the run is unknown; add --since \
                 TIME, --journal FILE or --report FILE",
                display::path(&path)
            );
            Ok((Run::default(), SpanSource::Flag))
        }
        Err(error) => {
            Err(error).with_context(|| format!("{}: cannot be opened", display::path(&path)))
        }
    }
}

fn journal_path(args: &VerifyArgs) -> PathBuf {
    let given = args.journal.clone();
    given.unwrap_or_else(|| default_journal(&args.file))
}

fn span(args: &VerifyArgs, run: &Run, source: SpanSource) -> Result<Span> {
    let (since, source) = match (args.since, run.started) {
        (Some(since), _) => (since, SpanSource::Flag),
        (None, Some(started)) => (started, source),
        (None, None) => bail!(
            "the {} does not say when the run began: it was continued, or an earlier version wrote \
             it; add --since TIME",
            match source {
                SpanSource::Report => "report",
                SpanSource::Flag | SpanSource::Journal => "journal",
            }
        ),
    };
    let until = args.until.or(run.ended);
    ensure!(
        until.is_none_or(|until| until >= since),
        "the end of the run is before its beginning; correct --since or --until"
    );
    Ok(Span {
        since,
        source,
        until,
        is_unfinished: source != SpanSource::Flag && !run.is_finished,
    })
}

fn query(args: &VerifyArgs, since: i64) -> Result<FailureQuery> {
    let query = FailureQuery::since(Timestamp::new(since)?)
        .lag(args.lag)
        .retention(args.retention);
    let types = args.object_type.iter();
    Ok(types.fold(query, |query, object_type| {
        query.object_type(&object_type.to_string())
    }))
}

/// Returns a client of the App API: at the address of the command line, or of the journal.
fn client(args: &VerifyArgs, run: &Run) -> Result<Client> {
    let credentials = AppCredentials::from_env()?;
    let builder = Client::builder().app_credentials(credentials);
    let builder = match address(args, run)? {
        Address::Region(region) => builder.region(region).proxy_from_env(),
        Address::Url(url) => match is_loopback(&url)? {
            // A proxy cannot reach the loopback of this machine.
            true => builder.app_base_url(url),
            false => builder.app_base_url(url).proxy_from_env(),
        },
    };
    Ok(builder.build()?)
}

/// The address of the App API.
enum Address {
    Region(Region),
    Url(String),
}

/// Returns the address of the command line, or else that of the journal.
///
/// The key is sent there, and somebody else may have written the journal: of its addresses, only
/// those of Customer.io and of this machine are used.
fn address(args: &VerifyArgs, run: &Run) -> Result<Address> {
    if let Some(url) = &args.base_url {
        return Ok(Address::Url(url.clone()));
    }
    if let Some(region) = args.region {
        return Ok(Address::Region(region));
    }
    let Some(url) = &run.base_url else {
        return Ok(Address::Region(Region::from_env()?));
    };
    match region_of(url) {
        Some(region) => Ok(Address::Region(region)),
        None if is_loopback(url).unwrap_or(false) => Ok(Address::Url(url.clone())),
        None => bail!(
            "the records were sent to another address than Customer.io's, {}; name that of the App \
             API with --base-url or --region",
            display::escaped(url)
        ),
    }
}

/// Returns the region whose Track API has this address.
fn region_of(track_url: &str) -> Option<Region> {
    let is_same = |region: &Region| region.track_url() == track_url.trim_end_matches('/');
    [Region::Us, Region::Eu].into_iter().find(is_same)
}

fn is_loopback(url: &str) -> Result<bool> {
    // The credentials are not used: an address is checked together with some.
    Ok(Endpoint::new(url, Credentials::new("none", "none")?)?.is_loopback())
}

/// Opens the file of the import, if a column identifies its people. `sent` is the digest of the
/// content that was sent, if it is known.
fn people(args: VerifyArgs, sent: Option<&str>) -> Result<Option<People>> {
    let Some(person) = column(args.person) else {
        return Ok(None);
    };
    let identifier = person.identifier;
    let values = ValueRules {
        empty: args.empty.empty,
        nulls: args.format.nulls.into_iter().collect(),
        ..value_rules(Some(args.types), args.attributes)?
    };
    let mapping = Mapping {
        person: Some(person),
        kind: Kind::People,
        values,
        rejects_suspects: false,
    };
    mapping.check_columns()?;
    let input = Input::open(&args.file, args.format.format)?.dialect(Dialect {
        delimiter: args.format.delimiter,
        person: mapping.id_column().to_owned(),
        is_strict: false,
    })?;
    // Here, before a request is sent: the file itself is read later.
    if let Some(header) = input.rows()?.header() {
        mapping
            .check_header(header)
            .with_context(|| input.to_string())?;
    }
    let digest = match sent {
        Some(sent) => Some(checked_digest(&input, sent)?),
        None => None,
    };
    Ok(Some(People {
        input,
        mapping,
        identifier,
        digest,
    }))
}

/// Returns the digest of the file.
///
/// # Errors
///
/// Fails unless it is that of the content that was sent: with another content, lines would be of
/// other people, and a sample would compare what nothing has sent.
fn checked_digest(input: &Input, sent: &str) -> Result<[u8; 32]> {
    let digest = input.digest()?;
    ensure!(
        hex(&digest) == sent,
        "{input}: the file has changed since it was sent: the journal has another content; restore \
         the file, or leave out the column of the person: the file is not read then"
    );
    Ok(digest)
}

fn column(args: VerifyColumn) -> Option<PersonColumn> {
    let columns = [
        (args.id_column, Identifier::Id),
        (args.email_column, Identifier::Email),
        (args.phone_column, Identifier::Phone),
        (args.cio_id_column, Identifier::CioId),
    ];
    let mut given = columns
        .into_iter()
        .filter_map(|(column, identifier)| Some((column?, identifier)));
    let (column, identifier) = given.next()?;
    Some(PersonColumn { column, identifier })
}

/// Returns the roles of the files that are read, whether or not this verification reads them:
/// writing failures to one of them would destroy it.
fn roles(args: &VerifyArgs) -> Roles {
    let identity = |path: &Path| {
        // Anything but a file could block.
        let file = path.is_file().then(|| File::open(path).ok()).flatten()?;
        Identity::of(&file, path).ok()
    };
    let mut roles = Roles::new(identity(&args.file));
    let (role, path) = match &args.report {
        Some(report) => (Role::Report, report.clone()),
        None => (Role::Journal, journal_path(args)),
    };
    if let Some(identity) = identity(&path) {
        roles.read(role, identity);
    }
    roles
}

/// Opens the file for failures, and removes the content of an earlier verification.
fn open_failures(path: &Path, mut roles: Roles) -> Result<File> {
    // Before the file is opened, which sets its mode.
    roles.check(&[(Role::Failures, Some(path))])?;
    let file = roles.open(Role::Failures, path)?;
    truncate(&file, path)?;
    Ok(file)
}
