//! One import from its plan to its report.

use std::fs::File;
use std::path::Path;
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
pub(crate) fn run(settings: &Settings) -> Result<Exit> {
    let rows = open(settings)?;
    let import = settings.import_id()?;
    let opened = open_journal(settings, &import)?;
    let report_file = settings.report.as_deref().map(create).transpose()?;
    let mut journal = match opened {
        Some(Opened::Complete(report)) => return finished_before(&report, report_file),
        Some(Opened::Unfinished(journal)) => Some(journal),
        None => None,
    };
    let scan = look_ahead(settings, &import)?;
    let plan = Plan::new(settings, scan);
    print(&plan.to_string())?;
    confirm(&plan, settings.confirmed)?;
    if let Some(journal) = &mut journal {
        journal.begin()?;
    }

    let sent = send(settings, rows, import, scan.map(|scan| scan.records))?;
    Ok(
        conclude(sent, journal, report_file).unwrap_or_else(|error| {
            complain(&format!("cio-import: {error:#}"));
            Exit::Stopped
        }),
    )
}

/// Opens the input for sending, and refuses a header that does not fit.
fn open(settings: &Settings) -> Result<Rows> {
    let rows = settings.input.rows()?;
    if let Some(header) = rows.columns() {
        settings
            .mapping
            .check_header(header)
            .with_context(|| settings.input.to_string())?;
    }
    Ok(rows)
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

#[tokio::main]
async fn send(
    settings: &Settings,
    rows: Rows,
    import: ImportId,
    records: Option<u64>,
) -> Result<Sent> {
    let mut console = Console::new(records, settings.verbosity);
    console.detail(1, || format!("import id: {}", import.as_str()));
    let mut problems = Problems::new(settings.input.to_string(), settings.rejects.as_deref())?;
    let line = settings.destination.connect(&settings.pace).await?;
    let (urgency, watched) = watch::channel(Urgency::None);
    let started = clock::now();
    let items = reader::spawn(rows, settings.mapping.clone(), import);
    let interrupt = Interrupt::new(watched);
    let end = tokio::select! {
        biased;
        never = listen(urgency) => match never {},
        end = pipeline::run(line.client.clone(), items, &settings.pace, interrupt, &mut console, &mut problems) => end,
    };
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
