//! The settings of a run: the command line and the environment, checked, with defaults.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use crate::args::{Args, Command, CommonArgs, EventsArgs, PeopleArgs};
use crate::destination::Destination;
use crate::files::{Role, Roles};
use crate::input::{Dialect, Input};
use crate::journal::IfFinished;
use crate::mapping::{self, EventColumns, Identifier, ImportId, Kind, Mapping, PersonColumn};
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
    pub(crate) if_finished: IfFinished,
    pub(crate) report: Option<PathBuf>,
    pub(crate) rejects: Option<PathBuf>,
    /// The roles of the input and the standard streams. The outputs are opened later.
    pub(crate) roles: Roles,
    /// Whether the questions of the plan are answered with yes.
    pub(crate) confirmed: bool,
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
        let (mapping, common) = match args.command {
            Command::People(people) => people_mapping(people),
            Command::Events(events) => events_mapping(events),
        };
        // From cheap to slow, so that the first error comes at once.
        mapping.check_columns()?;
        let input = Input::open(&common.file, common.format)?;
        let dialect = dialect(&input, &mapping, &common);
        let input = input.dialect(dialect)?;
        check_stream(&input, &mapping, &common)?;
        let journal = journal(&input, &common);
        let confirmed = is_confirmed(&common);
        // Checked here, before the file is read: that may take minutes.
        let roles = Roles::new(input.identity());
        roles.check(&[
            (Role::Journal, journal.as_deref()),
            (Role::Report, common.report.as_deref()),
            (Role::Rejects, common.rejects.as_deref()),
        ])?;
        Ok(Self {
            destination: Destination::new(&common)?,
            options: SendOptions::new(&common),
            journal,
            if_finished: if common.again {
                IfFinished::SendAgain
            } else {
                IfFinished::Skip
            },
            given_import_id: common.import_id.map(ImportId::new),
            report: common.report,
            rejects: common.rejects,
            roles,
            confirmed,
            verbosity: common.verbose,
            input,
            mapping,
        })
    }

    /// Returns the id from which event ids are made. Reads the whole input if it has to be derived.
    pub(crate) fn import_id(&self) -> Result<ImportId> {
        match &self.given_import_id {
            Some(id) => Ok(id.clone()),
            // Nothing uses this id: `check_stream` requires --import-id otherwise.
            None if !self.input.is_replayable() => Ok(ImportId::new("stream")),
            None => Ok(self.mapping.import_id(&self.input.digest()?)),
        }
    }
}

fn dialect(input: &Input, mapping: &Mapping, common: &CommonArgs) -> Dialect {
    Dialect {
        delimiter: common.delimiter,
        person: mapping.person.column.clone(),
        is_by_id: mapping.person.identifier == Identifier::Id,
        is_strict: !input.is_replayable() && !is_confirmed(common),
    }
}

/// Returns whether the questions of the plan are answered with yes. A rehearsal needs no answer.
fn is_confirmed(common: &CommonArgs) -> bool {
    common.yes || common.rehearse
}

fn people_mapping(args: PeopleArgs) -> (Mapping, CommonArgs) {
    let person = person_column(args.person.id_column, args.person.email_column);
    (
        Mapping {
            person,
            kind: Kind::People,
        },
        args.common,
    )
}

fn events_mapping(args: EventsArgs) -> (Mapping, CommonArgs) {
    let person = person_column(args.person.person_column, args.person.email_column);
    let moment = match args.moment.timestamp_column.zip(args.timestamp_format) {
        Some((column, format)) => mapping::Moment::Column { column, format },
        None => mapping::Moment::Now,
    };
    let columns = EventColumns {
        name: args.name_column,
        moment,
        event_id: args.event_id_column,
    };
    (
        Mapping {
            person,
            kind: Kind::Events(columns),
        },
        args.common,
    )
}

fn person_column(id: Option<String>, email: Option<String>) -> PersonColumn {
    let (column, identifier) = match (id, email) {
        (Some(column), _) => (column, Identifier::Id),
        (None, Some(column)) => (column, Identifier::Email),
        (None, None) => unreachable!("the command line requires one of the two"),
    };
    PersonColumn { column, identifier }
}

/// Fails if a stream needs an import id and has none: an id cannot be derived from a stream.
fn check_stream(input: &Input, mapping: &Mapping, common: &CommonArgs) -> Result<()> {
    if input.is_replayable() || common.import_id.is_some() {
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
        Kind::Events(_) | Kind::People => Ok(()),
    }
}

/// Returns the path of the journal. A rehearsal has none: it must not mark an import as finished.
fn journal(input: &Input, common: &CommonArgs) -> Option<PathBuf> {
    if common.no_journal || common.rehearse {
        return None;
    }
    common.journal.clone().or_else(|| {
        let path = input.path().filter(|_| input.is_replayable());
        path.map(default_journal)
    })
}

fn default_journal(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".cio-journal");
    name.into()
}
