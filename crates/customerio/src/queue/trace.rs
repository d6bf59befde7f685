//! The events of a queue. They hold no text of the server, which may repeat people's data.

use crate::Outcome;

/// Writes an event when an outage begins, becomes another one, or ends.
#[derive(Debug, Default)]
pub(super) struct OutageTrace {
    /// Whether the API refuses every request; `None` without an outage.
    last: Option<bool>,
}

impl OutageTrace {
    /// Follows the state after a request: whether the API refuses every request, and the status of
    /// its response.
    pub(super) fn follow(&mut self, outage: Option<(bool, Option<u16>)>) {
        let now = outage.map(|(is_blocked, _)| is_blocked);
        if now == self.last {
            return;
        }
        self.last = now;
        match outage {
            Some((true, status)) => tracing::warn!(
                name: "customerio.queue.blocked",
                status,
                "the API refuses every request; the queue holds its operations and probes once a \
                 minute; check the credentials, the region and proxies"
            ),
            Some((false, status)) => tracing::warn!(
                name: "customerio.queue.outage",
                status,
                "every request fails; the queue holds its operations and probes the server"
            ),
            None => tracing::info!(
                name: "customerio.queue.recovered",
                "requests succeed again; the queue sends its operations"
            ),
        }
    }
}

/// The operations that a request settled and that were not accepted.
#[derive(Debug)]
pub(super) struct Failed {
    operations: usize,
    first: Outcome,
}

impl Failed {
    /// Returns the failed ones of some outcomes, if there are any.
    pub(super) fn of<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Option<Self> {
        let mut failed = outcomes.filter(|outcome| !outcome.is_accepted());
        let first = failed.next()?.clone();
        Some(Self {
            operations: 1 + failed.count(),
            first,
        })
    }

    /// Writes an event. The callers may have dropped their receipts.
    pub(super) fn write(&self) {
        let (outcome, status, request_id) = match &self.first {
            Outcome::Accepted => return,
            Outcome::Rejected(reason) => ("rejected", reason.status(), reason.request_id()),
            Outcome::Unknown(cause) => ("unknown", cause.status(), cause.request_id()),
            Outcome::NotSent(cause) => ("not sent", cause.status(), cause.request_id()),
        };
        tracing::warn!(
            name: "customerio.queue.failed",
            operations = self.operations,
            outcome,
            status = status.map(|status| status.as_u16()),
            request_id,
            "operations of a request were not accepted; see the first one's status, and the \
             reasons in the receipts or the dead letters of the spool"
        );
    }
}

/// Records that the disk of a spool is full.
#[cfg(feature = "spool")]
pub(super) fn disk_full(error: &super::SpoolError) {
    tracing::warn!(name: "customerio.queue.disk_full", "{error}");
}

/// Records that a spool has failed, and the queue ends.
#[cfg(feature = "spool")]
pub(super) fn spool_failed(error: &super::SpoolError) {
    tracing::error!(name: "customerio.queue.spool_failed", "{error}");
}
