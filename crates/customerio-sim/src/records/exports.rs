use std::time::Duration;

use serde_json::{Value, json};

/// The exports, which are complete some time after their request.
#[derive(Debug, Default)]
pub(super) struct Exports {
    /// How long an export takes.
    time: Duration,
    exports: Vec<Export>,
}

#[derive(Debug)]
struct Export {
    /// `customers` or `deliveries`.
    kind: &'static str,
    /// What was exported, at the moment of the request.
    items: Vec<Value>,
    /// When it began: since the simulator's start, and in Unix seconds.
    began: (Duration, i64),
    /// How often its link was requested.
    downloads: u64,
}

impl Exports {
    pub(super) fn set_time(&mut self, time: Duration) {
        self.time = time;
    }

    /// Begins an export and returns its number.
    pub(super) fn begin(
        &mut self,
        kind: &'static str,
        items: Vec<Value>,
        now: Duration,
        date: i64,
    ) -> u64 {
        self.exports.push(Export {
            kind,
            items,
            began: (now, date),
            downloads: 0,
        });
        self.exports.len() as u64
    }

    /// Returns an export as the App API shows it.
    pub(super) fn shown(&self, id: u64, now: Duration) -> Option<Value> {
        let export = self.exports.get(index(id)?)?;
        let is_done = self.is_done(export, now);
        let age = if is_done { self.time.as_secs() } else { 0 };
        let updated_at = export.began.1.saturating_add_unsigned(age);
        Some(json!({
            "id": id,
            "deduplicate_id": format!("{id}:{updated_at}"),
            "type": export.kind,
            "status": if is_done { "done" } else { "pending" },
            "failed": false,
            // 0 until it is done, as documented.
            "total": if is_done { export.items.len() } else { 0 },
            "description": "",
            "downloads": export.downloads,
            // The simulator has no users.
            "user_id": 0,
            "user_email": "",
            "created_at": export.began.1,
            "updated_at": updated_at,
        }))
    }

    /// Returns all exports as the App API shows them.
    pub(super) fn all(&self, now: Duration) -> Vec<Value> {
        let numbers = 1..=self.exports.len() as u64;
        numbers.filter_map(|id| self.shown(id, now)).collect()
    }

    /// Counts a request for the link of an export. Returns whether the export is done.
    pub(super) fn download(&mut self, id: u64, now: Duration) -> bool {
        let index = index(id).filter(|index| *index < self.exports.len());
        let Some(index) = index.filter(|index| self.is_done(&self.exports[*index], now)) else {
            return false;
        };
        self.exports[index].downloads += 1;
        true
    }

    /// Returns what was exported, once the export is done.
    pub(super) fn items(&self, id: u64, now: Duration) -> Option<&[Value]> {
        let export = self.exports.get(index(id)?)?;
        self.is_done(export, now).then_some(&export.items)
    }

    fn is_done(&self, export: &Export, now: Duration) -> bool {
        now >= export.began.0.saturating_add(self.time)
    }
}

/// Exports are numbered from 1.
fn index(id: u64) -> Option<usize> {
    usize::try_from(id).ok()?.checked_sub(1)
}
