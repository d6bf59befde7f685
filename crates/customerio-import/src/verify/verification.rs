//! One verification, from its settings to its result.

use std::io::BufWriter;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use customerio::Timestamp;
use customerio::client::Error;
use tokio::sync::watch;

use super::failures::{Attribution, FailureLog};
use super::file;
use super::result::{SampleResult, Verification};
use super::sample::{self, Chosen, Compared, Sample};
use super::settings::{SampleSettings, Settings};
use crate::args::VerifyArgs;
use crate::clock;
use crate::console::{Output, print_error, print_output};
use crate::display;
use crate::interrupt::{Interrupt, Shutdown, listen};
use crate::mapping::Identifier;
use crate::report::Exit;
use crate::send::chain;
use crate::signals::Signals;

/// Why a verification has no result.
enum Stop {
    Interrupted,
    Failed(Error),
}

/// The log, and what the file has of it.
struct Matched {
    log: FailureLog,
    attribution: Option<Attribution>,
    chosen: Vec<Chosen>,
    records: u64,
}

/// Asks for failures since the beginning of a run, and reads a sample of people back.
///
/// # Errors
///
/// Fails if the settings or a file cannot be used, and if the result cannot be written.
pub(crate) async fn verify(args: VerifyArgs, signals: Signals) -> Result<Exit> {
    let (shutdown, watched) = watch::channel(Shutdown::None);
    tokio::spawn(listen(signals, shutdown));
    let mut interrupt = Interrupt::new(watched);
    let Some(settings) = interrupt.run_blocking(|| Settings::new(args)).await else {
        return Ok(Stop::Interrupted.exit());
    };
    let settings = Arc::new(settings?);
    let reading = async {
        wait(&settings).await;
        // Before the log is read: a failure that comes later may be missing.
        let read_at = clock::unix_seconds();
        read_log(&settings).await.map(|log| (read_at, log))
    };
    let (read_at, log) = match interrupt.cancel(reading).await {
        Some(Ok(read)) => read,
        Some(Err(error)) => return Ok(Stop::Failed(error).exit()),
        None => return Ok(Stop::Interrupted.exit()),
    };
    let matching = Arc::clone(&settings);
    let matched = interrupt
        .run_blocking(move || match_file(&matching, log))
        .await;
    let Some(matched) = matched else {
        return Ok(Stop::Interrupted.exit());
    };
    let matched = matched?;
    let compared = match interrupt.cancel(compare(&settings, &matched.chosen)).await {
        Some(Ok(compared)) => compared,
        Some(Err(error)) => return Ok(Stop::Failed(error).exit()),
        None => return Ok(Stop::Interrupted.exit()),
    };
    finish(&settings, read_at, matched, compared)
}

/// Waits until the log is complete, if `--wait` is given and the end of the run is known.
async fn wait(settings: &Settings) {
    let Some(complete_at) = complete_at(settings).filter(|_| settings.waits) else {
        return;
    };
    let seconds = complete_at.saturating_sub(clock::unix_seconds());
    let Some(seconds) = u64::try_from(seconds).ok().filter(|left| *left > 0) else {
        return;
    };
    let until = clock::rfc3339(complete_at);
    print_error(&format!(
        "waiting until {until}: the log may be incomplete before (--lag)"
    ));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn complete_at(settings: &Settings) -> Option<i64> {
    let until = Timestamp::new(settings.span.until?).ok()?;
    Some(settings.query.complete_at(until).seconds())
}

async fn read_log(settings: &Settings) -> Result<FailureLog, Error> {
    let mut log = FailureLog::default();
    let mut failures = settings.client.app().failures(&settings.query);
    while let Some(activity) = failures.next().await {
        log.add(activity?);
    }
    Ok(log)
}

/// Reads the file, if a column identifies its people: finds those of the failures, and chooses the
/// sample.
fn match_file(settings: &Settings, mut log: FailureLog) -> Result<Matched> {
    let mut matched = Matched {
        attribution: None,
        chosen: Vec::new(),
        records: 0,
        log: FailureLog::default(),
    };
    if let Some(people) = &settings.people {
        let sample = settings
            .sample
            .map(|sample| Sample::new(sample.size, sample.seed));
        let found = file::read(people, log.finder(people.identifier), sample)?;
        // The log has no phone numbers, so it finds no person by them.
        if people.identifier != Identifier::Phone {
            matched.attribution = Some(log.attribute(found.finder));
        }
        matched.chosen = found.sample.map(Sample::finish).unwrap_or_default();
        matched.records = found.records;
    }
    matched.log = log;
    Ok(matched)
}

async fn compare(settings: &Settings, chosen: &[Chosen]) -> Result<Compared, Error> {
    let mut compared = Compared::default();
    if let Some(SampleSettings { expected, .. }) = settings.sample {
        let app = settings.client.app();
        for chosen in chosen {
            sample::compare(&app, chosen, expected, &mut compared).await?;
        }
    }
    Ok(compared)
}

/// Writes the failures and the result.
fn finish(settings: &Settings, read_at: i64, matched: Matched, compared: Compared) -> Result<Exit> {
    let Matched {
        log,
        attribution,
        records,
        ..
    } = matched;
    if let Some(file) = &settings.failures {
        log.write(BufWriter::new(file))
            .and_then(|()| file.sync_all())
            .context("the failures file cannot be written; free some disk space")?;
    }
    let (query, span) = (&settings.query, settings.span);
    let sample = settings.sample.map(|sample| SampleResult {
        expected: sample.expected,
        records,
        compared,
    });
    let verification = Verification {
        file: settings.file.clone(),
        span,
        read_at,
        complete_at: complete_at(settings),
        is_retained: Timestamp::new(read_at).is_ok_and(|now| query.is_retained_at(now)),
        failures: log.len(),
        by_type: log.by_type().clone(),
        attribution,
        is_content_known: settings
            .people
            .as_ref()
            .is_none_or(|people| people.digest.is_some()),
        sample,
        assumed: settings.assumed.map(|time| display::whole(time, 2)),
    };
    let text = match settings.output {
        Output::Text => verification.to_string(),
        Output::Json => verification.json(),
    };
    print_output(&text).context("cannot write to the standard output")?;
    Ok(verification.exit())
}

// === impl Stop ===

impl Stop {
    /// Prints why there is no result, and returns the exit code.
    fn exit(&self) -> Exit {
        let (message, exit) = match self {
            Self::Interrupted => ("interrupted".to_owned(), Exit::Stopped),
            Self::Failed(error) if error.is_credentials() => (
                "the App API rejected the key; check CUSTOMERIO_APP_API_KEY and the region, then \
                 run the same command again"
                    .to_owned(),
                Exit::CredentialsRejected,
            ),
            Self::Failed(error) => (failed(error), Exit::Stopped),
        };
        print_error(&format!("cio-import: {message}; there is no result"));
        exit
    }
}

/// Leaves out the server's text, which may repeat people's data.
fn failed(error: &Error) -> String {
    match (error.region(), error.status(), error.cause()) {
        (Some(region), ..) => format!("the account is in another region; add --region {region}"),
        (None, Some(status), _) => format!(
            "the App API answered with status {}; check the base URL, and run the same command \
             again later",
            status.as_u16()
        ),
        (None, None, Some(cause)) => {
            let chain = chain(cause);
            format!("no request gets an answer; check the network and the address: {chain}")
        }
        (None, None, None) => "a request cannot be sent".to_owned(),
    }
}
