use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use pacing::fields::LimitFields;
use pacing::retry::Verdict;
use pacing::{Departure, Feedback, Moment};

use super::Charged;
use super::events::Events;
use super::state::RateState;
use crate::classifier::Classifier;
use crate::wait::{Queue, Wake};

/// A request that has departed. Its drop records it as abandoned, unless its end was recorded.
#[derive(Debug)]
pub(crate) struct InFlight {
    queue: Arc<Queue<RateState>>,
    departure: Option<Departure>,
}

impl InFlight {
    pub(super) fn new(queue: Arc<Queue<RateState>>, departure: Departure) -> Self {
        Self {
            queue,
            departure: Some(departure),
        }
    }

    /// Returns the classifier of the limit. Its rules run without the lock.
    #[inline]
    pub(super) fn classifier(&self) -> &Classifier {
        &self.queue.front().classifier
    }

    /// Returns the departure, until its end is recorded.
    #[inline]
    pub(super) fn departure(&self) -> Option<Departure> {
        self.departure
    }

    /// Returns the charged cost of a departure whose answer was recorded at `answered`.
    #[cold]
    pub(super) fn charged(&self, departure: Departure, answered: Moment) -> Charged {
        Charged::new(&self.queue, departure, answered)
    }

    /// Records a response. Returns the time, if it is the server's own response.
    #[inline]
    pub(super) fn answer(&mut self, status: StatusCode, headers: &HeaderMap) -> Option<Moment> {
        let verdict = self.classifier().verdict(status, headers);
        match source(status, verdict) {
            Source::Server => {
                let feedback = feedback(status, headers, verdict, self.classifier());
                let Some(mut stated) = limit_fields(headers) else {
                    return self
                        .end(|state, departure, now| state.answer(departure, now, feedback, None));
                };
                // What the state keeps of it is swapped for the old statement, which is then
                // dropped here, without the lock.
                self.end(|state, departure, now| {
                    state.answer(departure, now, feedback, Some(&mut stated))
                })
            }
            Source::Gateway => {
                let throttled = status == StatusCode::SERVICE_UNAVAILABLE;
                let hint = || self.classifier().retry_after(headers);
                let hint = throttled.then(hint).flatten();
                self.end(|state, departure, now| state.answer_from_gateway(departure, now, hint));
                None
            }
            Source::Timeout => {
                self.abandon();
                None
            }
        }
    }

    /// Records an end without a response. The request may still arrive, so its slots stay held.
    pub(super) fn abandon(&mut self) {
        self.end(RateState::abandon);
    }

    /// Records that nothing was sent, and releases the slots.
    pub(super) fn refund(&mut self) {
        if let Some(departure) = self.departure.take() {
            self.queue.change(|state, _| {
                state.refund(departure);
                Wake::Next
            });
        }
    }

    /// Records the end of the request by `how`. Returns the time; none if an end was recorded
    /// before.
    #[inline]
    fn end(
        &mut self,
        how: impl FnOnce(&mut RateState, Departure, Moment) -> Events,
    ) -> Option<Moment> {
        let departure = self.departure.take()?;
        let (mut events, mut ended) = (Events::default(), None);
        self.queue.change(|state, now| {
            ended = Some(now);
            events = how(state, departure, now);
            events.wake()
        });
        // Without the lock: a subscriber of `tracing` can run any code.
        events.emit();
        ended
    }
}

impl Drop for InFlight {
    #[inline]
    fn drop(&mut self) {
        // Most ends are recorded before the drop.
        if self.departure.is_some() {
            self.abandon();
        }
    }
}

/// The origin of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The server: its counter has seen the request.
    Server,
    /// A gateway: the path to the server is open, but the request may still be in transit to the
    /// counter.
    Gateway,
    /// A timeout, here or on the path: nothing came from the server, and the request may still
    /// arrive.
    Timeout,
}

/// Returns the origin of a response. A status that no list names is the server's, such as 429 and
/// 500.
///
/// A rule of the user comes first: a throttled request is counted, as one with a 429 is. A failure
/// within a success, such as gRPC's `UNAVAILABLE`, may be that of a proxy.
#[inline]
fn source(status: StatusCode, verdict: Option<Verdict>) -> Source {
    match (verdict, status.as_u16()) {
        (Some(Verdict::Throttled), _) => Source::Server,
        (Some(Verdict::Transient), 200..=299) => Source::Gateway,
        (_, status) => usual_source(status),
    }
}

#[inline]
fn usual_source(status: u16) -> Source {
    match status {
        // 520 to 530 are Cloudflare's: 522 and 524 are its timeouts. 499 is nginx's, 598 and 599
        // are proxies' timeouts.
        408 | 499 | 504 | 522 | 524 | 598 | 599 => Source::Timeout,
        502 | 503 | 520 | 521 | 523 | 525..=527 | 530 => Source::Gateway,
        _ => Source::Server,
    }
}

/// Reads the limits that a response states, if it has a field of that kind.
#[inline]
fn limit_fields(headers: &HeaderMap) -> Option<LimitFields> {
    let mut names = headers.keys();
    names
        .any(|name| LimitFields::is_one(name.as_str()))
        .then(|| read_limit_fields(headers))
}

fn read_limit_fields(headers: &HeaderMap) -> LimitFields {
    let fields = headers.iter();
    LimitFields::read(fields.map(|(name, value)| (name.as_str(), value.as_bytes())))
}

/// Returns the meaning of a response of the server for the limit.
#[inline]
fn feedback(
    status: StatusCode,
    headers: &HeaderMap,
    verdict: Option<Verdict>,
    classifier: &Classifier,
) -> Feedback {
    let is_throttled = match verdict {
        Some(verdict) => verdict == Verdict::Throttled,
        None => status == StatusCode::TOO_MANY_REQUESTS,
    };
    match is_throttled {
        true => Feedback::Throttled(classifier.retry_after(headers)),
        false if status.is_server_error() => Feedback::Failed,
        false => Feedback::Accepted,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderValue, header};

    use super::*;

    #[test]
    fn of_the_server_s_responses_only_a_429_means_throttled() {
        fn check(status: u16, retry_after: Option<&'static str>, expected: Feedback) {
            let mut headers = HeaderMap::new();
            if let Some(value) = retry_after {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(value));
            }
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                feedback(status, &headers, None, &Classifier::DEFAULT),
                expected,
                "{status} {retry_after:?}"
            );
        }
        let two_seconds = Some(Duration::from_secs(2));
        check(200, None, Feedback::Accepted);
        check(404, Some("2"), Feedback::Accepted);
        check(429, Some("2"), Feedback::Throttled(two_seconds));
        check(429, Some("soon"), Feedback::Throttled(None));
        check(429, None, Feedback::Throttled(None));
        check(500, Some("2"), Feedback::Failed);
    }

    #[test]
    fn a_rule_of_the_user_decides_which_answers_throttle() {
        fn check(status: u16, verdict: Verdict, expected: Feedback) {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            let status = StatusCode::from_u16(status).unwrap();
            let feedback = feedback(status, &headers, Some(verdict), &Classifier::DEFAULT);
            assert_eq!(feedback, expected, "{status} {verdict:?}");
        }
        let throttled = Feedback::Throttled(Some(Duration::from_secs(2)));
        for status in [200, 403, 429, 500, 503] {
            check(status, Verdict::Throttled, throttled);
        }
        check(429, Verdict::Final, Feedback::Accepted);
        check(429, Verdict::Transient, Feedback::Accepted);
        check(500, Verdict::Final, Feedback::Failed);
    }

    #[test]
    fn some_statuses_come_from_timeouts_and_some_from_gateways() {
        for status in 100..=999 {
            let expected = match status {
                408 | 499 | 504 | 522 | 524 | 598 | 599 => Source::Timeout,
                502 | 503 | 520 | 521 | 523 | 525 | 526 | 527 | 530 => Source::Gateway,
                _ => Source::Server,
            };
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(source(status, None), expected, "{status}");
            let throttled = Some(Verdict::Throttled);
            assert_eq!(source(status, throttled), Source::Server, "{status}");
            let transient = match status.is_success() {
                true => Source::Gateway,
                false => expected,
            };
            assert_eq!(source(status, Some(Verdict::Transient)), transient);
            assert_eq!(source(status, Some(Verdict::Final)), expected);
        }
    }
}
