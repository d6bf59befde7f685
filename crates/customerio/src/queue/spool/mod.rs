//! The spool of a queue: its operations on disk.
//!
//! A thread of its own, the writer, takes work from the inbox in rounds. Operations to enqueue and
//! operations that are settled travel in the same transaction.

mod dead_letter;
mod error;
mod inbox;
mod settings;
mod sqlite;
mod store;
#[cfg(test)]
#[cfg(feature = "testing")]
mod tests;
mod writer;

use std::sync::Arc;
use std::{io, thread};

use sha2::{Digest, Sha256};

pub use self::dead_letter::{DeadLetter, DeadOutcome};
use self::error::Kind;
pub use self::error::SpoolError;
pub(super) use self::inbox::{DiskOutcome, Inbox};
pub use self::settings::Spool;
use self::sqlite::{Destination, Found, Sqlite};
use self::store::Store;
use self::writer::Writer;
use super::shared::Shared;
use crate::Client;

/// A spool that is open, and whose writer was not started yet.
pub(super) struct Opened {
    store: Box<dyn Store>,
    found: Found,
    inbox: Arc<Inbox>,
    settings: Spool,
}

/// Opens a spool for the workspace of a client.
pub(super) fn open(spool: &Spool, client: &Client, transit: usize) -> Result<Opened, SpoolError> {
    let Some((base_url, site_id)) = client.workspace() else {
        return Err(SpoolError::new(&spool.path, Kind::NoCredentials));
    };
    let site = Sha256::digest(site_id);
    let destination = Destination {
        base_url,
        site: site.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let (store, found) = Sqlite::open(spool, &destination)?;
    Ok(Opened::new(Box::new(store), found, spool.clone(), transit))
}

impl Opened {
    fn new(store: Box<dyn Store>, found: Found, settings: Spool, transit: usize) -> Self {
        let inbox = Inbox::new(&settings, found, transit);
        Self {
            store,
            found,
            inbox: Arc::new(inbox),
            settings,
        }
    }

    pub(super) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// Starts the writer. It ends once the queue has ended, and everything is written.
    pub(super) fn start(self, shared: &Arc<Shared>) -> Result<(), SpoolError> {
        let mut writer = Writer::new(self.store, self.found, self.inbox, Arc::clone(shared));
        // Before the thread runs: a queue that looks idle now would end a wait too early.
        writer.update_state();
        let thread = thread::Builder::new().name("customerio-spool".into());
        let started: io::Result<_> = thread.spawn(move || writer.run());
        let failed = |error| {
            let kind = Kind::File("start the thread of", error);
            SpoolError::new(&self.settings.path, kind)
        };
        started.map(drop).map_err(failed)
    }
}
