//! One import, from its settings to its report.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use customerio::EventId;
use tokio::sync::watch;

use crate::args::{Args, Command};
use crate::confirm::confirm;
use crate::console::{Console, print_error, print_output};
use crate::destination::{Connection, Destination};
use crate::files::{Role, Roles, truncate};
use crate::finish::{NOT_PRINTED, Sent, finish, finish_again};
use crate::input::{Layout, Rows};
use crate::interrupt::{Interrupt, Shutdown, listen};
use crate::journal::{Begun, Header, Journal, LoadedJournal, Progress};
use crate::mapping::{ImportId, hex};
use crate::plan::{Plan, campaigns_since};
use crate::problems::Problems;
use crate::ranges::{self, Ranges};
use crate::rejects::{self, RejectsFile};
use crate::report::{Exit, Report, Totals};
use crate::scan::{Scan, scan};
use crate::send::{self, Reports, Stop};
use crate::settings::Settings;
use crate::settlements::{Files, Settlements};
use crate::signals::Signals;
use crate::{clock, reader, status};

/// The most ranges of records that are named as left for the next run. More would fill the
/// terminal; `status --json` shows all.
const MAX_LEFT: usize = 20;

/// An input that was opened.
struct Opened {
    rows: Rows,
    id: ImportId,
    /// The digest of the content, if it is needed.
    content: Option<String>,
}

/// An import that can be sent.
struct Import {
    rows: Rows,
    id: ImportId,
    /// The number of records, unless the input is a stream.
    records: Option<u64>,
    progress: Progress,
    /// How rows of the rejects file are written, if there is one.
    layout: Option<Layout>,
    connection: Connection,
}

/// Runs an import.
///
/// # Errors
///
/// Fails if the file, the mapping or the settings cannot be used. Nothing was sent then.
pub(crate) async fn run(args: Args, signals: Signals) -> Result<Exit> {
    if let Command::Status(args) = &args.command {
        return status::show(args);
    }
    let (shutdown, watched) = watch::channel(Shutdown::None);
    tokio::spawn(listen(signals, shutdown));
    import(args, Interrupt::new(watched)).await
}

async fn import(args: Args, mut interrupt: Interrupt) -> Result<Exit> {
    let Some(settings) = interrupt.run_blocking(|| Settings::new(args)).await else {
        return Ok(interrupted());
    };
    let settings = &Arc::new(settings?);
    let Some(opened) = run_blocking(&mut interrupt, settings, open).await else {
        return Ok(interrupted());
    };
    let Opened { rows, id, content } = opened?;
    let mut roles = settings.roles.clone();
    let opening = open_journal(settings, &id, content, &mut roles);
    let Some(loaded) = interrupt.cancel(opening).await else {
        return Ok(interrupted());
    };
    let mut journal = match loaded? {
        Some(LoadedJournal::Finished(report)) => {
            return report_earlier_run(settings, &mut roles, &report);
        }
        Some(LoadedJournal::Unfinished(journal)) => Some(journal),
        None => None,
    };
    let progress = journal.as_mut().map(|journal| journal.take_progress());
    let progress = progress.unwrap_or_default();
    let id = id.salted(journal.as_ref().and_then(|journal| journal.salt()));
    // A dry run sends nothing, so its plan may read the rows: a stream can be read only once.
    let (unsent, rows) = match settings.is_dry_run {
        true => (Some(rows), None),
        false => (None, Some(rows)),
    };
    // Reading the whole file and asking the user may take long: a signal cancels both.
    let (import, settled) = (id.clone(), progress.settled.clone());
    let prepared = run_blocking(&mut interrupt, settings, move |settings| {
        prepare(settings, &import, unsent, &settled)
    });
    let Some(scan) = prepared.await else {
        return Ok(interrupted());
    };
    let scan = scan?;
    let Some(rows) = rows else {
        return Ok(exit_of_dry_run(scan.as_ref()));
    };
    let records = counted(scan.as_ref(), journal.as_deref(), &progress)?;
    let connecting = connect(settings, journal.as_deref_mut());
    let Some(connection) = interrupt.cancel(connecting).await else {
        return Ok(interrupted());
    };
    let connection = connection?;
    // All files are opened before the first request with records: an error must come while nothing
    // is sent.
    let mut import = Import {
        rows,
        id,
        records,
        progress,
        layout: None,
        connection,
    };
    let (files, report) = import.open_files(settings, &mut roles, journal)?;
    let sent = import.send(settings, interrupt, files).await;
    // Records were sent, so an error must not end in the exit code for "nothing was sent".
    Ok(finish(sent, report).unwrap_or_else(|error| {
        print_error(&format!("cio-import: {error:#}"));
        Exit::Stopped
    }))
}

/// Reports an earlier run that is finished. Its rejects file is kept.
fn report_earlier_run(settings: &Settings, roles: &mut Roles, report: &Report) -> Result<Exit> {
    let path = settings.report.as_deref();
    let file = open_output(roles, Role::Report, path)?;
    truncate_output(file.as_ref(), path)?;
    finish_again(report, file, settings.output)
}

/// Runs work before the first request, which may block. Returns nothing if a signal comes first.
async fn run_blocking<T: Send + 'static>(
    interrupt: &mut Interrupt,
    settings: &Arc<Settings>,
    work: impl FnOnce(&Settings) -> T + Send + 'static,
) -> Option<T> {
    let settings = Arc::clone(settings);
    interrupt.run_blocking(move || work(&settings)).await
}

fn interrupted() -> Exit {
    print_error(
        "cio-import: interrupted before the first request; nothing was sent; to start again, run \
         the same command",
    );
    Exit::Stopped
}

/// Starts to read the input for sending, checks its header, and derives the id of the import.
fn open(settings: &Settings) -> Result<Opened> {
    let rows = settings.input.rows()?;
    if let Some(header) = rows.header() {
        settings
            .mapping
            .check_header(header)
            .with_context(|| settings.input.to_string())?;
    }
    let (id, digest) = settings.import_id()?;
    let is_read_again = settings.input.is_replayable() && !settings.is_dry_run;
    let rows = match is_read_again {
        true => settings.input.rows_to_send(digest)?,
        // A stream can be read only once. A dry run sends nothing.
        false => rows,
    };
    Ok(Opened {
        rows,
        id,
        content: digest.map(|digest| hex(&digest)),
    })
}

/// Prints the plan, and asks for confirmation. `unsent` are the rows of a dry run.
fn prepare(
    settings: &Settings,
    import: &ImportId,
    unsent: Option<Rows>,
    settled: &Ranges,
) -> Result<Option<Scan>> {
    let scan = look_ahead(settings, import, unsent, settled)?;
    let plan = Plan::new(settings, scan);
    print_output(&plan.written(settings.output)).context(NOT_PRINTED)?;
    confirm(&plan, settings.confirmed)?;
    Ok(plan.into_scan())
}

/// Returns the number of records, unless the input is a stream. Fails if the journal has a greater
/// one.
fn counted(
    scan: Option<&Scan>,
    journal: Option<&Journal>,
    progress: &Progress,
) -> Result<Option<u64>> {
    let records = scan.map(|scan| scan.records);
    if let (Some(journal), Some(records)) = (journal, records) {
        journal.check_records(progress, records)?;
    }
    Ok(records)
}

/// Connects to the destination. With a journal, compares the workspace.
async fn connect(settings: &Settings, journal: Option<&mut Journal>) -> Result<Connection> {
    let mut connection = settings.destination.connect(&settings.options).await?;
    if let Some(journal) = journal {
        journal.check_environment(connection.environment().await)?;
    }
    Ok(connection)
}

/// Returns the exit code of a run that ends with the plan: that of a real run in which the API
/// accepts every record.
fn exit_of_dry_run(scan: Option<&Scan>) -> Exit {
    match scan {
        Some(scan) if scan.rejected > 0 => Exit::Incomplete,
        Some(_) | None => Exit::Complete,
    }
}

async fn open_journal(
    settings: &Settings,
    import: &ImportId,
    content: Option<String>,
    roles: &mut Roles,
) -> Result<Option<LoadedJournal>> {
    let (Some(path), Destination::Live(live)) = (&settings.journal, &settings.destination) else {
        return Ok(None);
    };
    let mapping = &settings.mapping;
    let begun = settings.begun;
    let header = Header {
        base_url: live.base_url(),
        site: live.site(),
        environment: None,
        kind: mapping.kind().to_owned(),
        mapping: mapping.digest(),
        content,
        import_id: import.as_str().to_owned(),
        // Random: no two runs with new ids have the same ones.
        salt: (begun == Begun::NewIds).then(|| EventId::random().to_string()),
        begun,
    };
    Journal::load(roles, path, header).await.map(Some)
}

/// Scans the input, unless it is a stream that is to be sent.
fn look_ahead(
    settings: &Settings,
    import: &ImportId,
    unsent: Option<Rows>,
    settled: &Ranges,
) -> Result<Option<Scan>> {
    let rows = match unsent {
        Some(rows) => rows,
        None if settings.input.is_replayable() => settings.input.rows()?,
        None => return Ok(None),
    };
    let since = campaigns_since(clock::unix_seconds());
    let batch_items = settings.options.batch_items;
    scan(rows, &settings.mapping, import, batch_items, since, settled)
        .map(Some)
        .with_context(|| settings.input.to_string())
}

// === impl Import ===

impl Import {
    /// Opens the files that the run writes, and returns the report's beside the others. The content
    /// of an earlier run stays until the last of them is open.
    fn open_files(
        &mut self,
        settings: &Settings,
        roles: &mut Roles,
        mut journal: Option<Box<Journal>>,
    ) -> Result<(Files, Option<File>)> {
        let report = open_output(roles, Role::Report, settings.report.as_deref())?;
        let mut rejects = None;
        if let Some(path) = &settings.rejects {
            let file = roles.open(Role::Rejects, path)?;
            let layout = self.rows.keep_originals();
            rejects = Some(RejectsFile::new(file, path, &layout, &self.progress)?);
            self.layout = Some(layout);
        }
        if let Some(journal) = &mut journal {
            let name = settings.rejects.as_deref().map(rejects::name);
            journal.begin(self.records, name, clock::unix_seconds())?;
        }
        // Not earlier: a run that is canceled before the first request keeps the older report.
        truncate_output(report.as_ref(), settings.report.as_deref())?;
        if let Some(rejects) = &rejects {
            rejects.cut()?;
        }
        Ok((Files { journal, rejects }, report))
    }

    async fn send(self, settings: &Settings, interrupt: Interrupt, files: Files) -> Sent {
        let earlier = Totals {
            accepted: self.progress.accepted,
            rejected: self.progress.rejected,
            ..Totals::default()
        };
        let mut console = Console::new(
            self.records,
            earlier.records(),
            settings.verbosity,
            settings.output,
            clock::now(),
        );
        console.verbose(1, || format!("import id: {}", self.id.as_str()));
        let mut problems = Problems::new(settings.input.to_string(), settings.rejects.is_some());
        let (started, started_at) = (clock::now(), clock::unix_seconds());
        let items = reader::spawn(
            settings.input.to_string(),
            self.rows,
            settings.mapping.clone(),
            self.id,
            self.progress.settled.cursor(),
            self.layout.is_some(),
        );
        let mut settlements = Settlements::new(files, self.layout, self.progress, started);
        let mut result = send::run(
            self.connection.client.clone(),
            items,
            earlier,
            &settings.options,
            interrupt,
            Reports {
                console: &mut console,
                problems: &mut problems,
                settlements: &mut settlements,
            },
        )
        .await;
        console.finish();
        let traffic = self.connection.traffic();
        let finished = settlements.finish(traffic.requests > 0).await;
        if let Some(error) = finished.error {
            result.stop.get_or_insert(Stop::Failed(error));
        }
        // A file that has grown since the scan has more records than the plan.
        let records = self.records.unwrap_or(result.read).max(result.read);
        let report = Report::new(records, result.totals, traffic, clock::now() - started);
        let left = ranges::shown(finished.settled.gaps(records), MAX_LEFT);
        Sent {
            report: report
                .between(started_at, clock::unix_seconds())
                .continued(earlier.records(), left),
            stop: result.stop,
            problems,
            output: settings.output,
            journal: finished.journal,
            is_written: finished.is_written,
            left_out: finished.left_out,
        }
    }
}

fn open_output(roles: &mut Roles, role: Role, path: Option<&Path>) -> Result<Option<File>> {
    path.map(|path| roles.open(role, path)).transpose()
}

/// Removes the content of an earlier run.
fn truncate_output(file: Option<&File>, path: Option<&Path>) -> Result<()> {
    let (Some(file), Some(path)) = (file, path) else {
        return Ok(());
    };
    truncate(file, path)
}
