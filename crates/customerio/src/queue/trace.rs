/// Writes an event when an outage begins, becomes another one, or ends. It holds no text of the
/// server, which may repeat people's data.
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
