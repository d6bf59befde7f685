//! One import, from its settings to its report.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::watch;

use crate::args::Args;
use crate::confirm::confirm;
use crate::console::{Console, print_error, print_output};
use crate::destination::Destination;
use crate::files::{Role, Roles, truncate};
use crate::finish::{NOT_PRINTED, Sent, finish, finish_again};
use crate::input::Rows;
use crate::interrupt::{Interrupt, Shutdown, listen};
use crate::journal::{Header, Journal, LoadedJournal};
use crate::mapping::ImportId;
use crate::plan::{Plan, campaigns_since};
use crate::problems::Problems;
use crate::report::{Exit, Report, Traffic};
use crate::scan::{Scan, scan};
use crate::send::{self, RunResult};
use crate::settings::Settings;
use crate::signals::Signals;
use crate::{clock, reader};

/// The files that a run writes, apart from its journal.
#[derive(Debug)]
struct Outputs {
    report: Option<File>,
    rejects: Option<File>,
}

/// Runs an import.
///
/// # Errors
///
/// Fails if the file, the mapping or the settings cannot be used. Nothing was sent then.
pub(crate) async fn run(args: Args, signals: Signals) -> Result<Exit> {
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
    let (rows, id) = opened?;
    let mut roles = settings.roles.clone();
    let mut journal = match open_journal(settings, &id, &mut roles)? {
        Some(LoadedJournal::Finished(report)) => {
            return report_earlier_run(settings, &mut roles, &report);
        }
        Some(LoadedJournal::Unfinished(journal)) => Some(journal),
        None => None,
    };
    // A dry run sends nothing, so its plan may read the rows: a stream can be read only once.
    let (unsent, rows) = match settings.is_dry_run {
        true => (Some(rows), None),
        false => (None, Some(rows)),
    };
    // Reading the whole file and asking the user may take long: a signal cancels both.
    let import = id.clone();
    let prepared = run_blocking(&mut interrupt, settings, move |settings| {
        prepare(settings, &import, unsent)
    });
    let Some(scan) = prepared.await else {
        return Ok(interrupted());
    };
    let scan = scan?;
    let Some(rows) = rows else {
        return Ok(exit_of_dry_run(scan.as_ref()));
    };
    let records = scan.map(|scan| scan.records);
    // All files are opened before the first request: an error must come while nothing is sent.
    let outputs = Outputs::open(settings, &mut roles)?;
    if let Some(journal) = &mut journal {
        journal.begin(clock::unix_seconds())?;
    }
    // Not earlier: a run that is canceled before the first request keeps the older report.
    outputs.truncate(settings)?;
    let Outputs { report, rejects } = outputs;
    let sent = send(settings, interrupt, rows, id, records, rejects).await?;
    // Records were sent, so an error must not end in the exit code for "nothing was sent".
    Ok(finish(sent, journal, report).unwrap_or_else(|error| {
        print_error(&format!("cio-import: {error:#}"));
        Exit::Stopped
    }))
}

/// Reports an earlier run that is finished. Its rejects file is kept.
fn report_earlier_run(settings: &Settings, roles: &mut Roles, report: &Report) -> Result<Exit> {
    let outputs = Outputs {
        report: open_output(roles, Role::Report, settings.report.as_deref())?,
        rejects: None,
    };
    outputs.truncate(settings)?;
    finish_again(report, outputs.report, settings.output)
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

/// Starts to read the input for sending, checks its header, and returns the id of the import.
fn open(settings: &Settings) -> Result<(Rows, ImportId)> {
    let rows = settings.input.rows()?;
    if let Some(header) = rows.header() {
        settings
            .mapping
            .check_header(header)
            .with_context(|| settings.input.to_string())?;
    }
    Ok((rows, settings.import_id()?))
}

/// Prints the plan, and asks for confirmation. `unsent` are the rows of a dry run.
fn prepare(settings: &Settings, import: &ImportId, unsent: Option<Rows>) -> Result<Option<Scan>> {
    let scan = look_ahead(settings, import, unsent)?;
    let plan = Plan::new(settings, scan);
    print_output(&plan.written(settings.output)).context(NOT_PRINTED)?;
    confirm(&plan, settings.confirmed)?;
    Ok(plan.into_scan())
}

/// Returns the exit code of a run that ends with the plan: that of a real run in which the API
/// accepts every record.
fn exit_of_dry_run(scan: Option<&Scan>) -> Exit {
    match scan {
        Some(scan) if scan.rejected > 0 => Exit::Incomplete,
        Some(_) | None => Exit::Complete,
    }
}

fn open_journal(
    settings: &Settings,
    import: &ImportId,
    roles: &mut Roles,
) -> Result<Option<LoadedJournal>> {
    let (Some(path), Destination::Live(live)) = (&settings.journal, &settings.destination) else {
        return Ok(None);
    };
    let mapping = &settings.mapping;
    let header = Header::new(
        &live.base_url(),
        &live.site(),
        mapping.kind(),
        &mapping.digest(),
        import.as_str(),
    );
    let file = roles.open(Role::Journal, path)?;
    Journal::load(file, path, header, settings.if_finished).map(Some)
}

/// Scans the input, unless it is a stream that is to be sent.
fn look_ahead(
    settings: &Settings,
    import: &ImportId,
    unsent: Option<Rows>,
) -> Result<Option<Scan>> {
    let rows = match unsent {
        Some(rows) => rows,
        None if settings.input.is_replayable() => settings.input.rows()?,
        None => return Ok(None),
    };
    let since = campaigns_since(clock::unix_seconds());
    let batch_items = settings.options.batch_items;
    scan(rows, &settings.mapping, import, batch_items, since)
        .map(Some)
        .with_context(|| settings.input.to_string())
}

async fn send(
    settings: &Settings,
    interrupt: Interrupt,
    rows: Rows,
    import: ImportId,
    records: Option<u64>,
    rejects: Option<File>,
) -> Result<Sent> {
    let mut console = Console::new(records, settings.verbosity, settings.output, clock::now());
    console.verbose(1, || format!("import id: {}", import.as_str()));
    let mut problems = Problems::new(settings.input.to_string(), rejects);
    let connection = settings.destination.connect(&settings.options).await?;
    let (started, started_at) = (clock::now(), clock::unix_seconds());
    let items = reader::spawn(rows, settings.mapping.clone(), import);
    let result = send::run(
        connection.client.clone(),
        items,
        &settings.options,
        interrupt,
        &mut console,
        &mut problems,
    )
    .await;
    console.finish();
    let elapsed = clock::now() - started;
    let report = report(&result, records, connection.traffic(), elapsed).started(started_at);
    Ok(Sent {
        report,
        stop: result.stop,
        problems,
        output: settings.output,
    })
}

// === impl Outputs ===

impl Outputs {
    /// Opens the files. Their content stays.
    fn open(settings: &Settings, roles: &mut Roles) -> Result<Self> {
        Ok(Self {
            report: open_output(roles, Role::Report, settings.report.as_deref())?,
            rejects: open_output(roles, Role::Rejects, settings.rejects.as_deref())?,
        })
    }

    /// Removes the content of an earlier run.
    fn truncate(&self, settings: &Settings) -> Result<()> {
        let files = [
            (&self.report, &settings.report),
            (&self.rejects, &settings.rejects),
        ];
        for (file, path) in files {
            if let (Some(file), Some(path)) = (file, path) {
                truncate(file, path)?;
            }
        }
        Ok(())
    }
}

fn open_output(roles: &mut Roles, role: Role, path: Option<&Path>) -> Result<Option<File>> {
    path.map(|path| roles.open(role, path)).transpose()
}

fn report(result: &RunResult, records: Option<u64>, traffic: Traffic, elapsed: Duration) -> Report {
    // A file that has grown since the scan has more records than the plan.
    let records = records.unwrap_or(result.read).max(result.read);
    Report::new(records, result.totals, traffic, elapsed)
}
