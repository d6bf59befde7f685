use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use pacing::fields::LimitFields;
use pacing::{Departure, Feedback, Moment};

use super::news::News;
use super::pace::Pace;
use crate::line::{Queue, Wake};
use crate::retry_after::retry_after;

/// A request that has left. Dropped before it is told how the request ended, it counts as abandoned.
#[derive(Debug)]
pub(super) struct Flight {
    queue: Arc<Queue<Pace>>,
    departure: Option<Departure>,
}

impl Flight {
    pub(super) fn new(queue: Arc<Queue<Pace>>, departure: Departure) -> Self {
        Self {
            queue,
            departure: Some(departure),
        }
    }

    /// Records what an answer says of the limit.
    pub(super) fn answer(&mut self, status: StatusCode, headers: &HeaderMap) {
        match status {
            // A gateway answers in front of the counter: the request may still be on its way to it.
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => self.abandon(),
            _ => {
                let said = limit_fields(headers);
                let mut news = News::default();
                self.end(|pace, departure, now| {
                    news = pace.answer(departure, now, feedback(status, headers), &said);
                    news.wake()
                });
                news.tell();
            }
        }
    }

    /// Records an end without an answer.
    pub(super) fn abandon(&mut self) {
        self.end(|pace, departure, now| {
            pace.abandon(departure, now);
            Wake::IfAwaited
        });
    }

    /// Gives back everything: nothing was sent.
    pub(super) fn refund(&mut self) {
        self.end(|pace, departure, _| {
            pace.refund(departure);
            Wake::Always
        });
    }

    fn end(&mut self, how: impl FnOnce(&mut Pace, Departure, Moment) -> Wake) {
        if let Some(departure) = self.departure.take() {
            self.queue.change(|pace, now| how(pace, departure, now));
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.abandon();
    }
}

fn limit_fields(headers: &HeaderMap) -> LimitFields {
    let fields = headers.iter();
    LimitFields::read(fields.map(|(name, value)| (name.as_str(), value.as_bytes())))
}

fn feedback(status: StatusCode, headers: &HeaderMap) -> Feedback {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Feedback::Refused(retry_after(headers)),
        StatusCode::SERVICE_UNAVAILABLE => {
            retry_after(headers).map_or(Feedback::Failed, |time| Feedback::Refused(Some(time)))
        }
        _ if status.is_server_error() => Feedback::Failed,
        _ => Feedback::Accepted,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderValue, header};

    use super::*;

    #[test]
    fn only_a_429_and_a_503_that_names_a_time_speak_of_the_limit() {
        fn check(status: u16, retry_after: Option<&'static str>, expected: Feedback) {
            let mut headers = HeaderMap::new();
            if let Some(value) = retry_after {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(value));
            }
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                feedback(status, &headers),
                expected,
                "{status} {retry_after:?}"
            );
        }
        let two_seconds = Some(Duration::from_secs(2));
        check(200, None, Feedback::Accepted);
        check(404, Some("2"), Feedback::Accepted);
        check(429, Some("2"), Feedback::Refused(two_seconds));
        check(429, Some("soon"), Feedback::Refused(None));
        check(429, None, Feedback::Refused(None));
        check(503, Some("2"), Feedback::Refused(two_seconds));
        check(503, None, Feedback::Failed);
        check(500, Some("2"), Feedback::Failed);
    }
}
