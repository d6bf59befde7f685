//! The settings of a run: the command line and the environment, checked, with defaults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use crate::args::{
    Args, AttributeArgs, Columns, Command, CommonArgs, DevicesArgs, EventsArgs, MergesArgs,
    ObjectArgs, ObjectsArgs, PeopleArgs, PeopleColumn, PersonArgs, PlatformArgs, PlatformName,
    RelationshipsArgs, TypeArgs,
};
use crate::console::Output;
use crate::destination::Destination;
use crate::files::{Role, Roles};
use crate::input::{Dialect, Input};
use crate::journal::Begun;
use crate::mapping::{
    self, DeviceColumns, EventColumns, Identifier, ImportId, Kind, LastUsed, Mapping, MergeColumns,
    ObjectColumn, ObjectColumns, PersonColumn, RelationshipColumns, Selection, Source, TimeFormat,
    TypeName, ValueRules, ValueType,
};
use crate::options::SendOptions;

/// The settings of a run.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) input: Input,
    pub(crate) mapping: Mapping,
    pub(crate) destination: Destination,
    pub(crate) options: SendOptions,
    /// The value of `--import-id`. Without it, [`Settings::import_id`] derives one.
    given_import_id: Option<ImportId>,
    /// The path of the journal, unless the run has none.
    pub(crate) journal: Option<PathBuf>,
    /// Whether the import is to be sent again.
    pub(crate) begun: Begun,
    pub(crate) report: Option<PathBuf>,
    pub(crate) rejects: Option<PathBuf>,
    /// The roles of the input and the standard streams. The outputs are opened later.
    pub(crate) roles: Roles,
    /// Whether the questions of the plan are answered with yes.
    pub(crate) confirmed: bool,
    /// Whether the run ends with the plan.
    pub(crate) is_dry_run: bool,
    /// How plan, progress and summary are written.
    pub(crate) output: Output,
    pub(crate) verbosity: u8,
}

impl Settings {
    /// Opens the input, and reads the environment.
    ///
    /// # Errors
    ///
    /// Fails if settings contradict each other, if the input cannot be opened, if a credential is
    /// missing, and if the address would send it unencrypted.
    pub(crate) fn new(args: Args) -> Result<Self> {
        let begun = begun(&args.command);
        let (mut mapping, common) = mapping(args.command)?;
        mapping.values.nulls = common.format.nulls.iter().cloned().collect();
        // From cheap to slow, so that the first error comes at once.
        mapping.check_columns()?;
        let input = Input::open(&common.file, common.format.format)?;
        let is_strict =
            common.reject_suspects || (!input.is_replayable() && !is_confirmed(&common));
        mapping.rejects_suspects = is_strict;
        let dialect = Dialect {
            delimiter: common.format.delimiter,
            person: mapping.id_column().to_owned(),
            is_strict,
        };
        let input = input.dialect(dialect)?;
        check_stream(&input, &mapping, &common)?;
        let journal = journal(&input, &common);
        let confirmed = is_confirmed(&common);
        let is_live = !common.rehearse && !common.dry_run;
        ensure!(
            begun != Begun::NewIds || journal.is_some() || !is_live,
            "--new-ids needs a journal, so that a run that is stopped goes on with the same ids; \
             add --journal FILE"
        );
        // Checked here, before the file is read: that may take minutes.
        let roles = Roles::new(input.identity());
        roles.check(&[
            (Role::Journal, journal.as_deref()),
            (Role::Report, common.report.as_deref()),
            (Role::Rejects, common.rejects.as_deref()),
        ])?;
        Ok(Self {
            destination: Destination::new(&common)?,
            options: SendOptions::new(&common, mapping.kind.goes_alone()),
            journal,
            begun,
            given_import_id: common.import_id.map(ImportId::new),
            report: common.report,
            rejects: common.rejects,
            roles,
            confirmed,
            is_dry_run: common.dry_run,
            output: match common.json {
                true => Output::Json,
                false => Output::Text,
            },
            verbosity: common.verbose,
            input,
            mapping,
        })
    }

    /// Returns the id from which event ids are made, and the digest of the content. Reads the whole
    /// input if one of them is needed.
    pub(crate) fn import_id(&self) -> Result<(ImportId, Option<[u8; 32]>)> {
        let is_needed = self.given_import_id.is_none() || self.journal.is_some();
        let digest = match self.input.is_replayable() && is_needed {
            true => Some(self.input.digest()?),
            false => None,
        };
        let id = match (&self.given_import_id, &digest) {
            (Some(id), _) => id.clone(),
            (None, Some(digest)) => self.mapping.import_id(digest),
            // Nothing uses this id: `check_stream` requires --import-id otherwise.
            (None, None) => ImportId::new("stream"),
        };
        Ok((id, digest))
    }
}

/// Returns why a new journal is begun, if the import was sent before.
fn begun(command: &Command) -> Begun {
    match command {
        Command::Events(events) if events.new_ids => Begun::NewIds,
        command if command.common().is_some_and(|common| common.again) => Begun::Again,
        _ => Begun::First,
    }
}

/// Returns whether the questions of the plan are answered with yes. A rehearsal and a dry run need
/// no answer.
fn is_confirmed(common: &CommonArgs) -> bool {
    common.yes || common.rehearse || common.dry_run
}

fn mapping(command: Command) -> Result<(Mapping, CommonArgs)> {
    match command {
        Command::People(people) => people_mapping(people),
        Command::Events(events) => events_mapping(events),
        Command::Delete(args) => Ok(person_mapping(Kind::Delete, args)),
        Command::Suppress(args) => Ok(person_mapping(Kind::Suppress, args)),
        Command::Unsuppress(args) => Ok(person_mapping(Kind::Unsuppress, args)),
        Command::Devices(devices) => devices_mapping(devices),
        Command::Merges(merges) => Ok(merges_mapping(merges)),
        Command::Relationships(relationships) => relationships_mapping(relationships),
        Command::Objects(objects) => objects_mapping(objects),
        Command::Completions(_) | Command::Man(_) | Command::Status(_) | Command::Verify(_) => {
            unreachable!("they send nothing")
        }
    }
}

fn new_mapping(person: Option<PersonColumn>, kind: Kind, values: ValueRules) -> Mapping {
    Mapping {
        person,
        kind,
        values,
        rejects_suspects: false,
    }
}

fn people_mapping(args: PeopleArgs) -> Result<(Mapping, CommonArgs)> {
    check_format_use(&args.types, None)?;
    let values = ValueRules {
        empty: args.empty.empty,
        update_only: args.update_only,
        ..value_rules(Some(args.types), args.attributes)?
    };
    let person = people_column(args.person);
    Ok((new_mapping(Some(person), Kind::People, values), args.common))
}

fn person_mapping(kind: Kind, args: PersonArgs) -> (Mapping, CommonArgs) {
    let person = people_column(args.person);
    (
        new_mapping(Some(person), kind, ValueRules::default()),
        args.common,
    )
}

fn events_mapping(args: EventsArgs) -> Result<(Mapping, CommonArgs)> {
    let person = person_column([
        (args.person.person_column, Identifier::Id),
        (args.person.email_column, Identifier::Email),
        (args.person.phone_column, Identifier::Phone),
        (args.person.cio_id_column, Identifier::CioId),
    ]);
    let timestamp_column = args.moment.timestamp_column;
    check_format_use(&args.types, timestamp_column.as_deref())?;
    let moment = match timestamp_column.zip(args.types.timestamp_format.clone()) {
        Some((column, format)) => mapping::Moment::Column { column, format },
        None => mapping::Moment::Now,
    };
    let columns = EventColumns {
        name: source(args.name.name_column, args.name.name),
        moment,
        event_id: args.event_id_column,
    };
    let values = value_rules(Some(args.types), args.attributes)?;
    Ok((
        new_mapping(Some(person), Kind::Events(columns), values),
        args.common,
    ))
}

fn devices_mapping(args: DevicesArgs) -> Result<(Mapping, CommonArgs)> {
    let PlatformArgs {
        platform_column,
        platform,
        delete,
    } = args.platform;
    let platform = platform.map(|platform| match platform {
        PlatformName::Ios => "ios".to_owned(),
        PlatformName::Android => "android".to_owned(),
    });
    let last_used = args.last_used_column.zip(args.timestamp_format);
    let columns = DeviceColumns {
        token: args.token_column,
        platform: (!delete).then(|| source(platform_column, platform)),
        last_used: last_used.map(|(column, format)| LastUsed { column, format }),
        delete,
    };
    let person = people_column(args.person);
    let values = value_rules(None, args.attributes)?;
    Ok((
        new_mapping(Some(person), Kind::Devices(columns), values),
        args.common,
    ))
}

fn merges_mapping(args: MergesArgs) -> (Mapping, CommonArgs) {
    let primary = person_column([
        (args.primary.primary_id_column, Identifier::Id),
        (args.primary.primary_email_column, Identifier::Email),
        (args.primary.primary_cio_id_column, Identifier::CioId),
    ]);
    let secondary = person_column([
        (args.secondary.secondary_id_column, Identifier::Id),
        (args.secondary.secondary_email_column, Identifier::Email),
        (args.secondary.secondary_cio_id_column, Identifier::CioId),
    ]);
    let kind = Kind::Merges(MergeColumns { secondary });
    (
        new_mapping(Some(primary), kind, ValueRules::default()),
        args.common,
    )
}

fn relationships_mapping(args: RelationshipsArgs) -> Result<(Mapping, CommonArgs)> {
    check_format_use(&args.types, None)?;
    let columns = RelationshipColumns {
        object: object_column(args.object),
        delete: args.delete,
    };
    let person = people_column(args.person);
    let values = value_rules(Some(args.types), args.attributes)?;
    Ok((
        new_mapping(Some(person), Kind::Relationships(columns), values),
        args.common,
    ))
}

fn objects_mapping(args: ObjectsArgs) -> Result<(Mapping, CommonArgs)> {
    check_format_use(&args.types, None)?;
    let columns = ObjectColumns {
        object: object_column(args.object),
        delete: args.delete,
    };
    let values = ValueRules {
        empty: args.empty.empty,
        ..value_rules(Some(args.types), args.attributes)?
    };
    Ok((
        new_mapping(None, Kind::Objects(columns), values),
        args.common,
    ))
}

fn object_column(args: ObjectArgs) -> ObjectColumn {
    let number = args.object_type.object_type;
    ObjectColumn {
        object_type: source(
            args.object_type.object_type_column,
            number.map(|number| number.to_string()),
        ),
        id: args.object_id_column,
    }
}

/// Returns a column or a constant, of which the command line requires exactly one.
fn source(column: Option<String>, constant: Option<String>) -> Source {
    match (column, constant) {
        (Some(column), _) => Source::Column(column),
        (None, Some(constant)) => Source::Constant { constant },
        (None, None) => unreachable!("the command line requires one of the two"),
    }
}

fn people_column(args: PeopleColumn) -> PersonColumn {
    person_column([
        (args.id_column, Identifier::Id),
        (args.email_column, Identifier::Email),
        (args.phone_column, Identifier::Phone),
        (args.cio_id_column, Identifier::CioId),
    ])
}

fn person_column(columns: impl IntoIterator<Item = (Option<String>, Identifier)>) -> PersonColumn {
    let mut given = columns
        .into_iter()
        .filter_map(|(column, identifier)| Some((column?, identifier)));
    let (column, identifier) = given
        .next()
        .expect("the command line requires one of the columns");
    PersonColumn { column, identifier }
}

/// Fails if `--timestamp-format` is given and no column uses it.
fn check_format_use(args: &TypeArgs, timestamp_column: Option<&str>) -> Result<()> {
    let is_used = timestamp_column.is_some()
        || args
            .types
            .iter()
            .any(|(_, name)| *name == TypeName::TimestampWithoutFormat);
    ensure!(
        args.timestamp_format.is_none() || is_used,
        "--timestamp-format is given, but no column uses it; add --type COLUMN=timestamp, or leave \
         it out"
    );
    Ok(())
}

pub(crate) fn value_rules(types: Option<TypeArgs>, args: AttributeArgs) -> Result<ValueRules> {
    let types = match types {
        None => BTreeMap::new(),
        Some(args) => value_types(args)?,
    };
    let constants = unique("--set", args.set)?;
    let mut rules = ValueRules {
        types,
        names: unique("--map", args.map)?,
        selection: selection(args.only, args.except),
        constants: constants
            .into_iter()
            .map(|(name, text)| (name, Value::from(text)))
            .collect(),
        ..ValueRules::default()
    };
    rules.convert_constants()?;
    Ok(rules)
}

fn value_types(args: TypeArgs) -> Result<BTreeMap<String, ValueType>> {
    let default = args.timestamp_format;
    let mut types = BTreeMap::new();
    for (column, name) in unique("--type", args.types)? {
        let value_type = match (name, &default) {
            (TypeName::Complete(value_type), _) => value_type,
            (TypeName::TimestampWithoutFormat, Some(format)) => {
                ValueType::Timestamp(TimeFormat::clone(format))
            }
            (TypeName::TimestampWithoutFormat, None) => bail!(
                "--type {column:?}: a timestamp needs a format; write \
                 COLUMN=timestamp:FORMAT, like timestamp:rfc3339, or add --timestamp-format"
            ),
        };
        types.insert(column, value_type);
    }
    Ok(types)
}

/// Returns the values by their names. A name that is given twice is an error.
fn unique<T>(flag: &str, pairs: Vec<(String, T)>) -> Result<BTreeMap<String, T>> {
    let mut by_name = BTreeMap::new();
    for (name, value) in pairs {
        ensure!(
            !by_name.contains_key(&name),
            "{flag} {name:?} is given twice; leave out one of the two"
        );
        by_name.insert(name, value);
    }
    Ok(by_name)
}

fn selection(only: Vec<Columns>, except: Vec<Columns>) -> Selection {
    let all = |columns: Vec<Columns>| columns.into_iter().flat_map(|columns| columns.0).collect();
    match (only.is_empty(), except.is_empty()) {
        (false, _) => Selection::Only(all(only)),
        (true, false) => Selection::Except(all(except)),
        (true, true) => Selection::All,
    }
}

/// Fails if a stream needs an import id and has none: an id cannot be derived from a stream.
fn check_stream(input: &Input, mapping: &Mapping, common: &CommonArgs) -> Result<()> {
    if input.is_replayable() || common.import_id.is_some() || common.dry_run {
        return Ok(());
    }
    ensure!(
        common.journal.is_none(),
        "{input}: a stream can be read only once, so its journal needs --import-id"
    );
    match &mapping.kind {
        Kind::Events(EventColumns { event_id: None, .. }) => {
            bail!(
                "{input}: a stream can be read only once, so its events need --event-id-column or \
                 --import-id"
            )
        }
        _ => Ok(()),
    }
}

/// Returns the path of the journal. A rehearsal has none: it must not mark an import as finished.
fn journal(input: &Input, common: &CommonArgs) -> Option<PathBuf> {
    if common.no_journal || common.rehearse || common.dry_run {
        return None;
    }
    common.journal.clone().or_else(|| {
        let path = input.path().filter(|_| input.is_replayable());
        path.map(default_journal)
    })
}

pub(crate) fn default_journal(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".cio-journal");
    name.into()
}
