//! One import from its plan to its report.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::watch;

use crate::confirm::confirm;
use crate::console::{Console, complain, print};
use crate::destination::Destination;
use crate::ending::{Sent, conclude, finished_before};
use crate::exit::Exit;
use crate::input::Rows;
use crate::interrupt::{Interrupt, Urgency, listen};
use crate::journal::{Header, Journal, Opened};
use crate::mapping::ImportId;
use crate::pipeline::{self, End};
use crate::plan::{Plan, campaigns_since};
use crate::problems::Problems;
use crate::report::{Report, Traffic};
use crate::scan::{Scan, scan};
use crate::settings::Settings;
use crate::{clock, private, reader};

/// Runs an import.
///
/// # Errors
///
/// Fails where the file, the mapping or the settings cannot be used; nothing was sent then.
#[tokio::main]
pub(crate) async fn run(settings: Settings) -> Result<Exit> {
    let settings = Arc::new(settings);
    let (urgency, watched) = watch::channel(Urgency::None);
    tokio::select! {
        biased;
        never = listen(urgency) => match never {},
        exit = import(&settings, Interrupt::new(watched)) => exit,
    }
}

async fn import(settings: &Arc<Settings>, mut interrupt: Interrupt) -> Result<Exit> {
    let Some(opened) = ahead(&mut interrupt, settings, open).await else {
        return Ok(interrupted());
    };
    let (rows, id) = opened?;
    let mut journal = match open_journal(settings, &id)? {
        Some(Opened::Complete(report)) => {
            return finished_before(&report, create_report(settings)?);
        }
        Some(Opened::Unfinished(journal)) => Some(journal),
        None => None,
    };
    let name = id.clone();
    let prepared = ahead(&mut interrupt, settings, move |settings| {
        prepare(settings, &name)
    });
    let Some(scan) = prepared.await else {
        return Ok(interrupted());
    };
    let records = scan?.map(|scan| scan.records);
    // Not before, so that a run that is called off leaves an older report alone.
    let report_file = create_report(settings)?;
    if let Some(journal) = &mut journal {
        journal.begin()?;
    }
    let sent = send(settings, interrupt, rows, id, records).await?;
    Ok(
        conclude(sent, journal, report_file).unwrap_or_else(|error| {
            complain(&format!("cio-import: {error:#}"));
            Exit::Stopped
        }),
    )
}

/// Does what may take long before the first request. Returns nothing where Ctrl-C came first.
async fn ahead<T: Send + 'static>(
    interrupt: &mut Interrupt,
    settings: &Arc<Settings>,
    work: impl FnOnce(&Settings) -> T + Send + 'static,
) -> Option<T> {
    let settings = Arc::clone(settings);
    interrupt.unless_before(move || work(&settings)).await
}

fn interrupted() -> Exit {
    complain("cio-import: interrupted; nothing was sent");
    Exit::Stopped
}

/// Opens the input for sending, refuses a header that does not fit, and names the import.
fn open(settings: &Settings) -> Result<(Rows, ImportId)> {
    let rows = settings.input.rows()?;
    if let Some(header) = rows.columns() {
        settings
            .mapping
            .check_header(header)
            .with_context(|| settings.input.to_string())?;
    }
    Ok((rows, settings.import_id()?))
}

/// Says what will be sent, and asks where that cannot be undone.
fn prepare(settings: &Settings, import: &ImportId) -> Result<Option<Scan>> {
    let scan = look_ahead(settings, import)?;
    let plan = Plan::new(settings, scan);
    print(&plan.to_string())?;
    confirm(&plan, settings.confirmed)?;
    Ok(scan)
}

fn create_report(settings: &Settings) -> Result<Option<File>> {
    settings.report.as_deref().map(create).transpose()
}

fn create(path: &Path) -> Result<File> {
    private::create(path)
        .with_context(|| format!("{}: cannot be created; check --report", path.display()))
}

fn open_journal(settings: &Settings, import: &ImportId) -> Result<Option<Opened>> {
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
    Journal::open(path, header, settings.if_complete).map(Some)
}

/// Reads the whole input once, where it can be read again.
fn look_ahead(settings: &Settings, import: &ImportId) -> Result<Option<Scan>> {
    if !settings.input.is_replayable() {
        return Ok(None);
    }
    let since = campaigns_since(clock::unix_seconds());
    let batch_items = settings.pace.batch_items;
    let scanned = scan(
        settings.input.rows()?,
        &settings.mapping,
        import,
        batch_items,
        since,
    );
    scanned
        .map(Some)
        .with_context(|| settings.input.to_string())
}

async fn send(
    settings: &Settings,
    interrupt: Interrupt,
    rows: Rows,
    import: ImportId,
    records: Option<u64>,
) -> Result<Sent> {
    let mut console = Console::new(records, settings.verbosity);
    console.detail(1, || format!("import id: {}", import.as_str()));
    let mut problems = Problems::new(settings.input.to_string(), settings.rejects.as_deref())?;
    let line = settings.destination.connect(&settings.pace).await?;
    let started = clock::now();
    let items = reader::spawn(rows, settings.mapping.clone(), import);
    let end = pipeline::run(
        line.client.clone(),
        items,
        &settings.pace,
        settings.patience,
        interrupt,
        &mut console,
        &mut problems,
    )
    .await;
    console.finish();
    let report = report(&end, records, line.traffic(), clock::now() - started);
    Ok(Sent {
        report,
        halt: end.halt,
        problems,
    })
}

fn report(end: &End, records: Option<u64>, traffic: Traffic, elapsed: Duration) -> Report {
    // A file that grew since it was counted has more records than the plan said.
    let records = records.unwrap_or(end.read).max(end.read);
    Report::new(records, end.totals, traffic, elapsed)
}
