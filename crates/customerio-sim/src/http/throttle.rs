use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::reply;
use crate::limit::Limit;

/// How a refusal by the limit is answered.
#[derive(Debug)]
pub(crate) struct Throttle {
    detail: String,
    omits_retry_after: bool,
}

impl Throttle {
    pub(crate) fn new(limit: Option<&Limit>, omits_retry_after: bool) -> Self {
        let detail = limit.map_or_else(String::new, |limit| format!("rate limited to {limit}"));
        Self {
            detail,
            omits_retry_after,
        }
    }

    /// Answers 429, with a `Retry-After` of `wait` in whole seconds, rounded up, one at least.
    pub(super) fn refuse(&self, wait: Duration) -> Response {
        let body = json!({"errors": [{"detail": self.detail, "status": "429"}]});
        let response = reply::json(StatusCode::TOO_MANY_REQUESTS, &body);
        if self.omits_retry_after {
            response
        } else {
            reply::retry_after(response, whole_seconds(wait))
        }
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    let started = u64::from(wait.subsec_nanos() > 0);
    (wait.as_secs() + started).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wait_ms: u64, expected: u64) {
        assert_eq!(
            whole_seconds(Duration::from_millis(wait_ms)),
            expected,
            "{wait_ms} ms"
        );
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        check(0, 1);
        check(1, 1);
        check(1_000, 1);
        check(1_001, 2);
        check(60_000, 60);
    }
}
