//! Daily quotas of endpoints of the App API: found in responses, and kept until they reset.
//!
//! An endpoint with a daily quota sends `X-RateLimit-Limit` and `X-RateLimit-Remaining` with each
//! response. Once the quota is used up, it answers 429 without a `Retry-After`; a per-second 429
//! has one. Only the endpoint itself is then closed: the rate limiter, which all endpoints share,
//! must see neither that 429 nor those fields, or it would stop them all.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, header};
use http_body_util::Full;
use httpdate::parse_http_date;
use pin_project_lite::pin_project;
use tower::Service;
use tower_pace::Deadline;

use super::attempt::BoxError;

const REMAINING: &str = "x-ratelimit-remaining";
const RESET: &str = "x-ratelimit-reset";
const PREFIX: &str = "x-ratelimit-";

/// The longest time for which an endpoint is closed, whatever the server says: a day, as long as
/// the quota. With more, a wrong field would stop a program for good.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A reset from this number on is a time in unix seconds, and below it a number of seconds. No
/// server asks to wait for thirty years.
const FIRST_UNIX_TIME: u64 = 1_000_000_000;

/// How many endpoints are kept. The API has about 150, and few have a quota.
const MAX_ENDPOINTS: usize = 1_000;

/// The endpoints of one workspace whose quota is used up, by their routes.
#[derive(Debug, Default)]
pub(super) struct QuotaGates(Mutex<HashMap<Box<str>, Closed>>);

/// An endpoint that is closed.
#[derive(Clone, Copy, Debug)]
struct Closed {
    until: Deadline,
    is_reset_known: bool,
}

impl QuotaGates {
    /// Returns how long an endpoint is still closed, if it is.
    fn closed(&self, route: &str) -> Option<DailyQuota> {
        // Each change is one insertion, so a panic in another thread leaves no half of one.
        let gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = gates.get(route)?;
        let left = gate.until.remaining();
        (!left.is_zero()).then_some(DailyQuota {
            left,
            is_reset_known: gate.is_reset_known,
            is_from_response: false,
        })
    }

    fn close(&self, route: &str, time: Duration, is_reset_known: bool) {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if gates.len() >= MAX_ENDPOINTS {
            gates.retain(|_, gate| !gate.until.remaining().is_zero());
        }
        // If all are closed, this one is asked again too early: that costs a request, no memory.
        if gates.len() < MAX_ENDPOINTS || gates.contains_key(route) {
            let until = Deadline::within(time);
            gates.insert(
                route.into(),
                Closed {
                    until,
                    is_reset_known,
                },
            );
        }
    }
}

/// The endpoint of a request, in the request's extensions.
#[derive(Clone, Debug)]
pub(super) struct QuotaEndpoint {
    pub(super) gates: Arc<QuotaGates>,
    pub(super) route: Arc<str>,
    /// The time for which the endpoint is closed if the server does not say when it resets.
    pub(super) pause: Duration,
    /// Whether each per-second 429 of the endpoint has a `Retry-After`. For messages and triggers
    /// the API documents no 429. One comes from a gateway then, whatever fields it has, and must
    /// not stop them for hours: the rate limiter pauses for it.
    pub(super) documents_429: bool,
}

/// A daily quota is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DailyQuota {
    /// How long the endpoint is closed.
    pub(super) left: Duration,
    pub(super) is_reset_known: bool,
    /// Whether the API said so to this request, which was then counted.
    pub(super) is_from_response: bool,
}

/// The parts of a response that the layers outside must not see.
#[derive(Clone, Debug)]
struct Hidden {
    status: StatusCode,
    fields: HeaderMap,
    quota: Option<DailyQuota>,
}

impl QuotaEndpoint {
    pub(super) fn closed(&self) -> Option<DailyQuota> {
        self.gates.closed(&self.route)
    }

    /// Closes the endpoint if the response says that its quota is used up, and hides that from the
    /// layers outside.
    fn read<B>(&self, mut response: Response<B>) -> Response<B> {
        let status = response.status();
        let quota = self.used_up(status, response.headers());
        let mut fields = HeaderMap::new();
        if self.documents_429 || quota.is_some() {
            fields = take_fields(response.headers_mut());
        }
        let is_429 = quota.is_some() && status == StatusCode::TOO_MANY_REQUESTS;
        if is_429 {
            // The rate limiter counts the request, and neither pauses nor slows down. The retry
            // layer sees a success.
            *response.status_mut() = StatusCode::OK;
        }
        if is_429 || !fields.is_empty() {
            response.extensions_mut().insert(Hidden {
                status,
                fields,
                quota: quota.filter(|_| is_429),
            });
        }
        response
    }

    /// Closes the endpoint if its quota is used up, and returns for how long.
    fn used_up(&self, status: StatusCode, headers: &HeaderMap) -> Option<DailyQuota> {
        let none_remain = || headers.get(REMAINING).is_some_and(|value| value == "0");
        let is_used_up = match status {
            StatusCode::TOO_MANY_REQUESTS if headers.contains_key(header::RETRY_AFTER) => false,
            StatusCode::TOO_MANY_REQUESTS => self.documents_429,
            _ => self.documents_429 && status.is_success() && none_remain(),
        };
        if !is_used_up {
            return None;
        }
        let reset = reset(headers);
        let left = reset.unwrap_or(self.pause).min(LONGEST);
        self.gates.close(&self.route, left, reset.is_some());
        Some(DailyQuota {
            left,
            is_reset_known: reset.is_some(),
            is_from_response: true,
        })
    }
}

/// Returns a response as it came, and the quota if it said that one is used up.
pub(super) fn restore<B>(mut response: Response<B>) -> (Response<B>, Option<DailyQuota>) {
    let Some(hidden) = response.extensions_mut().remove::<Hidden>() else {
        return (response, None);
    };
    *response.status_mut() = hidden.status;
    response.headers_mut().extend(hidden.fields);
    (response, hidden.quota)
}

fn take_fields(headers: &mut HeaderMap) -> HeaderMap {
    let names = headers
        .keys()
        .filter(|name| name.as_str().starts_with(PREFIX));
    let names: Vec<HeaderName> = names.cloned().collect();
    let mut taken = HeaderMap::new();
    for name in names {
        if let Some(value) = headers.remove(&name) {
            taken.insert(name, value);
        }
    }
    taken
}

/// Returns the time until the reset. The API documents no such field; other services of its kind
/// send one. A unix time counts from the response's own `Date`.
fn reset(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let number: u64 = text(RESET)?.trim().parse().ok()?;
    if number < FIRST_UNIX_TIME {
        return Some(Duration::from_secs(number)).filter(|time| !time.is_zero());
    }
    let date = parse_http_date(text(header::DATE.as_str())?).ok()?;
    let now = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let left = Duration::from_secs(number).checked_sub(now)?;
    Some(left).filter(|time| !time.is_zero())
}

/// A service that sends nothing to an endpoint whose quota is used up.
///
/// It is inside the rate limiter, since the quota may end while a request waits there.
#[derive(Clone, Debug)]
pub(super) struct QuotaService<S> {
    inner: S,
}

impl<S> QuotaService<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Request<Full<Bytes>>> for QuotaService<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = BoxError>,
{
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = QuotaFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let endpoint = request.extensions().get::<QuotaEndpoint>().cloned();
        match endpoint.as_ref().and_then(QuotaEndpoint::closed) {
            Some(quota) => QuotaFuture::Closed { quota },
            None => QuotaFuture::Sending {
                endpoint,
                response: self.inner.call(request),
            },
        }
    }
}

pin_project! {
    /// The future of one attempt.
    #[project = QuotaFutureProj]
    pub(super) enum QuotaFuture<F> {
        // Closed => the end: nothing is sent
        Closed { quota: DailyQuota },
        // Sending => the end, once the response is there
        Sending { endpoint: Option<QuotaEndpoint>, #[pin] response: F },
    }
}

impl<F> Future for QuotaFuture<F>
where
    F: Future<Output = Result<Response<Full<Bytes>>, BoxError>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            QuotaFutureProj::Closed { quota } => {
                let mut response = Response::new(Full::default());
                response.extensions_mut().insert(Hidden {
                    status: StatusCode::TOO_MANY_REQUESTS,
                    fields: HeaderMap::new(),
                    quota: Some(*quota),
                });
                Poll::Ready(Ok(response))
            }
            QuotaFutureProj::Sending { endpoint, response } => {
                let result = ready!(response.poll(cx));
                Poll::Ready(match endpoint {
                    Some(endpoint) => result.map(|response| endpoint.read(response)),
                    None => result,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const DATE: (&str, &str) = ("date", "Wed, 25 Nov 2026 00:00:30 GMT");

    fn endpoint(documents_429: bool) -> QuotaEndpoint {
        QuotaEndpoint {
            gates: Arc::default(),
            route: "/v1/exports".into(),
            pause: Duration::from_secs(3_600),
            documents_429,
        }
    }

    fn response(status: u16, fields: &[(&'static str, &'static str)]) -> Response<()> {
        let mut response = Response::builder().status(status).body(()).unwrap();
        for (name, value) in fields {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(*name, value);
        }
        response
    }

    /// Returns for how many seconds the response closes an endpoint, and whether it names them.
    #[track_caller]
    fn check(status: u16, fields: &[(&'static str, &'static str)], expected: Option<(u64, bool)>) {
        let endpoint = endpoint(true);
        let (restored, _) = restore(endpoint.read(response(status, fields)));
        assert_eq!(
            restored.status(),
            status,
            "the response is returned as it came"
        );
        assert_eq!(restored.headers().len(), fields.len());
        let closed = endpoint.closed().map(|quota| {
            let rounded = quota.left + Duration::from_millis(500);
            (rounded.as_secs(), quota.is_reset_known)
        });
        assert_eq!(closed, expected, "{status} {fields:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_says_whether_the_quota_is_used_up() {
        check(200, &[], None);
        check(200, &[("x-ratelimit-remaining", "1")], None);
        check(200, &[("x-ratelimit-remaining", "0")], Some((3_600, false)));
        check(404, &[("x-ratelimit-remaining", "0")], None);
        check(429, &[("retry-after", "1")], None);
        check(
            429,
            &[("retry-after", "1"), ("x-ratelimit-remaining", "0")],
            None,
        );
        check(429, &[], Some((3_600, false)));
        check(429, &[("x-ratelimit-reset", "60")], Some((60, true)));
        check(429, &[("x-ratelimit-reset", "0")], Some((3_600, false)));
        check(429, &[("x-ratelimit-reset", "soon")], Some((3_600, false)));
        check(
            429,
            &[("x-ratelimit-reset", "999999999")],
            Some((86_400, true)),
        );
        check(
            429,
            &[DATE, ("x-ratelimit-reset", "1795564890")],
            Some((60, true)),
        );
        check(
            429,
            &[("x-ratelimit-reset", "1795564890")],
            Some((3_600, false)),
        );
    }

    #[test]
    fn a_429_that_is_not_documented_is_no_daily_quota() {
        let endpoint = endpoint(false);
        assert_eq!(endpoint.read(response(429, &[])).status(), 429);
        let seen = endpoint.read(response(200, &[("x-ratelimit-remaining", "0")]));
        assert_eq!((seen.headers().len(), endpoint.closed()), (1, None));
        // A gateway that counts requests per second sends these, and names no time.
        for remaining in ["0", "1"] {
            let fields = [
                ("x-ratelimit-limit", "100"),
                ("x-ratelimit-remaining", remaining),
            ];
            let seen = endpoint.read(response(429, &fields));
            assert_eq!((seen.status().as_u16(), seen.headers().len()), (429, 2));
            assert_eq!(endpoint.closed(), None);
        }
    }

    #[test]
    fn the_layers_outside_see_neither_the_429_nor_the_fields() {
        let seen = endpoint(true).read(response(429, &[("x-ratelimit-remaining", "0")]));
        assert!(seen.status() == 200 && seen.headers().is_empty());
    }

    #[test]
    fn the_number_of_closed_endpoints_is_bounded() {
        let gates = QuotaGates::default();
        for index in 0..2 * MAX_ENDPOINTS {
            gates.close(&index.to_string(), LONGEST, false);
        }
        assert_eq!(gates.0.lock().unwrap().len(), MAX_ENDPOINTS);
    }
}
