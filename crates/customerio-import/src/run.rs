//! One import from its plan to its report.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::watch;

use crate::args::Args;
use crate::confirm::confirm;
use crate::console::{Console, complain, print};
use crate::destination::Destination;
use crate::ending::{NOT_PRINTED, Sent, conclude, finished_before};
use crate::exit::Exit;
use crate::files::{Role, Roles, empty};
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
use crate::signals::Signals;
use crate::{clock, reader};

/// The files that a run fills beside its journal.
#[derive(Debug)]
struct Outputs {
    report: Option<File>,
    rejects: Option<File>,
}

/// Runs an import.
///
/// # Errors
///
/// Fails where the file, the mapping or the settings cannot be used; nothing was sent then.
pub(crate) async fn run(args: Args, signals: Signals) -> Result<Exit> {
    let (urgency, watched) = watch::channel(Urgency::None);
    tokio::spawn(listen(signals, urgency));
    import(args, Interrupt::new(watched)).await
}

async fn import(args: Args, mut interrupt: Interrupt) -> Result<Exit> {
    let Some(settings) = interrupt.unless_before(|| Settings::new(args)).await else {
        return Ok(interrupted());
    };
    let settings = &Arc::new(settings?);
    let Some(opened) = ahead(&mut interrupt, settings, open).await else {
        return Ok(interrupted());
    };
    let (rows, id) = opened?;
    let mut roles = settings.roles.clone();
    let mut journal = match open_journal(settings, &id, &mut roles)? {
        Some(Opened::Complete(report)) => {
            // The rejects file of the finished run is left as it is.
            let outputs = Outputs {
                report: open_output(&mut roles, Role::Report, settings.report.as_deref())?,
                rejects: None,
            };
            outputs.empty(settings)?;
            return finished_before(&report, outputs.report);
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
    let outputs = Outputs::open(settings, &mut roles)?;
    if let Some(journal) = &mut journal {
        journal.begin()?;
    }
    // Not before, so that a run that is called off leaves an older report alone.
    outputs.empty(settings)?;
    let Outputs { report, rejects } = outputs;
    let sent = send(settings, interrupt, rows, id, records, rejects).await?;
    Ok(conclude(sent, journal, report).unwrap_or_else(|error| {
        complain(&format!("cio-import: {error:#}"));
        Exit::Stopped
    }))
}

/// Does what may take long before the first request. Returns nothing where a signal came first.
async fn ahead<T: Send + 'static>(
    interrupt: &mut Interrupt,
    settings: &Arc<Settings>,
    work: impl FnOnce(&Settings) -> T + Send + 'static,
) -> Option<T> {
    let settings = Arc::clone(settings);
    interrupt.unless_before(move || work(&settings)).await
}

fn interrupted() -> Exit {
    complain("cio-import: interrupted; nothing was sent, so the same command starts over");
    Exit::Stopped
}

/// Begins to read the input for sending, refuses a header that does not fit, and names the import.
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
    print(&plan.to_string()).context(NOT_PRINTED)?;
    confirm(&plan, settings.confirmed)?;
    Ok(scan)
}

fn open_journal(
    settings: &Settings,
    import: &ImportId,
    roles: &mut Roles,
) -> Result<Option<Opened>> {
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
    Journal::load(file, path, header, settings.if_complete).map(Some)
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
    rejects: Option<File>,
) -> Result<Sent> {
    let mut console = Console::new(records, settings.verbosity);
    console.detail(1, || format!("import id: {}", import.as_str()));
    let mut problems = Problems::new(settings.input.to_string(), rejects);
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

// === impl Outputs ===

impl Outputs {
    /// Opens the files and leaves their content.
    fn open(settings: &Settings, roles: &mut Roles) -> Result<Self> {
        Ok(Self {
            report: open_output(roles, Role::Report, settings.report.as_deref())?,
            rejects: open_output(roles, Role::Rejects, settings.rejects.as_deref())?,
        })
    }

    fn empty(&self, settings: &Settings) -> Result<()> {
        let files = [
            (&self.report, &settings.report),
            (&self.rejects, &settings.rejects),
        ];
        for (file, path) in files {
            if let (Some(file), Some(path)) = (file, path) {
                empty(file, path)?;
            }
        }
        Ok(())
    }
}

fn open_output(roles: &mut Roles, role: Role, path: Option<&Path>) -> Result<Option<File>> {
    path.map(|path| roles.open(role, path)).transpose()
}

fn report(end: &End, records: Option<u64>, traffic: Traffic, elapsed: Duration) -> Report {
    // A file that grew since it was counted has more records than the plan said.
    let records = records.unwrap_or(end.read).max(end.read);
    Report::new(records, end.totals, traffic, elapsed)
}
