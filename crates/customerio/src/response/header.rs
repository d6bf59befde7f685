use std::time::Duration;

use http::{HeaderMap, header};

/// How much of a request id is kept; those of the gateways in use are shorter.
const MAX_ID: usize = 100;

/// Returns the id by which the vendor's support finds a request, if the answer names one in visible ASCII.
pub(super) fn request_id(headers: &HeaderMap) -> Option<Box<str>> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    Some(id.get(..MAX_ID).unwrap_or(id).into())
}

/// Returns how long the answer asks to wait, if it says so in seconds.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}
