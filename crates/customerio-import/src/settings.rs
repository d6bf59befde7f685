//! What the command line means: checked, with defaults filled in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::args::{Args, Command, CommonArgs, EventsArgs, PeopleArgs};
use crate::destination::Destination;
use crate::files::{Role, Roles};
use crate::input::{Dialect, Input};
use crate::journal::IfComplete;
use crate::mapping::{self, EventColumns, Identifier, ImportId, Kind, Mapping, PersonColumn};
use crate::pace::Pace;

/// Everything that a run is told.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) input: Input,
    pub(crate) mapping: Mapping,
    pub(crate) destination: Destination,
    pub(crate) pace: Pace,
    /// How long the run may wait for the server.
    pub(crate) patience: Duration,
    /// The id that the user gave; [`Settings::import_id`] derives one where there is none.
    given_import_id: Option<ImportId>,
    /// Where the end of the run is remembered, if anywhere.
    pub(crate) journal: Option<PathBuf>,
    pub(crate) if_complete: IfComplete,
    pub(crate) report: Option<PathBuf>,
    pub(crate) rejects: Option<PathBuf>,
    /// Which file is what already, before an output is opened.
    pub(crate) roles: Roles,
    pub(crate) confirmed: bool,
    pub(crate) verbosity: u8,
}

impl Settings {
    /// Resolves the command line and the environment.
    ///
    /// # Errors
    ///
    /// Fails where they cannot be used together, the input cannot be opened, a credential is
    /// missing, or the address would betray it.
    pub(crate) fn new(args: Args) -> Result<Self> {
        let (mapping, common) = match args.command {
            Command::People(people) => people_mapping(people),
            Command::Events(events) => events_mapping(events),
        };
        mapping.check_columns()?;
        let input = Input::open(&common.file, common.format)?;
        let dialect = dialect(&input, &mapping, &common);
        let input = input.dialect(dialect)?;
        check_stream(&input, &mapping, &common)?;
        let journal = journal(&input, &common);
        let confirmed = is_confirmed(&common);
        let roles = Roles::new(input.identity());
        roles.check(&[
            (Role::Journal, journal.as_deref()),
            (Role::Report, common.report.as_deref()),
            (Role::Rejects, common.rejects.as_deref()),
        ])?;
        Ok(Self {
            destination: Destination::new(&common)?,
            pace: Pace::new(&common),
            patience: common.patience,
            journal,
            if_complete: if common.again {
                IfComplete::StartOver
            } else {
                IfComplete::Keep
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

    /// Returns the id from which event ids are made; reads the whole input where it must be
    /// derived.
    pub(crate) fn import_id(&self) -> Result<ImportId> {
        match &self.given_import_id {
            Some(id) => Ok(id.clone()),
            // A stream cannot be read twice; whatever needs its id had to name it.
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
        is_cautious: !input.is_replayable() && !is_confirmed(common),
    }
}

/// Tells whether the questions of the plan are answered beforehand.
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

/// Refuses what needs an import id where none can be derived.
fn check_stream(input: &Input, mapping: &Mapping, common: &CommonArgs) -> Result<()> {
    if input.is_replayable() || common.import_id.is_some() {
        return Ok(());
    }
    ensure!(
        common.journal.is_none(),
        "{input} can be read only once: a journal needs --import-id"
    );
    match &mapping.kind {
        Kind::Events(EventColumns { event_id: None, .. }) => {
            bail!("{input} can be read only once: events need --event-id-column or --import-id")
        }
        Kind::Events(_) | Kind::People => Ok(()),
    }
}

/// Returns where the journal lies. A rehearsal has none: it must never mark a record as done.
fn journal(input: &Input, common: &CommonArgs) -> Option<PathBuf> {
    if common.no_journal || common.rehearse {
        return None;
    }
    common
        .journal
        .clone()
        .or_else(|| input.path().filter(|_| input.is_replayable()).map(beside))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".cio-journal");
    name.into()
}
