//! What the field offers, made ready for a comparison: no limit is ever reached, so that only the way through is measured.

use std::fmt::Debug;
use std::future::{Ready, ready};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::DefaultDirectRateLimiter;
use http::{Request, Response};
use leaky_bucket::RateLimiter as LeakyBucket;
use tower::limit::rate::Rate;
use tower::retry::Policy;
use tower::{Service, ServiceExt, service_fn};
use tower_resilience_bulkhead::BulkheadLayer;
use tower_resilience_ratelimiter::RateLimiterLayer;
use tower_resilience_retry::RetryLayer;

use crate::inner::{Body, Inner};

/// Departures are spaced by a nanosecond, and a call takes longer.
pub(crate) const RATE: u32 = 1_000_000_000;
pub(crate) const PERMITS: usize = 32;

/// tower's policy as ours is by default: up to three retries of what a server answers when it is not well.
#[derive(Clone)]
pub(crate) struct Retries(u32);

impl Retries {
    pub(crate) fn three() -> Self {
        Self(3)
    }
}

impl<E> Policy<Request<Body>, Response<Body>, E> for Retries {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut Result<Response<Body>, E>,
    ) -> Option<Ready<()>> {
        let failed = match result {
            Ok(response) => response.status().is_server_error(),
            Err(_) => true,
        };
        (failed && self.0 > 0).then(|| {
            self.0 -= 1;
            ready(())
        })
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        Some(request.clone())
    }
}

pub(crate) fn resilience_rate() -> RateLimiterLayer {
    RateLimiterLayer::builder()
        .limit_for_period(RATE as usize)
        .refresh_period(Duration::from_secs(1))
        .build()
        .expect("the settings are valid")
}

pub(crate) fn resilience_bulkhead() -> BulkheadLayer {
    BulkheadLayer::builder()
        .max_concurrent_calls(PERMITS)
        .build()
        .expect("the settings are valid")
}

pub(crate) fn resilience_retry<E>() -> RetryLayer<Request<Body>, Response<Body>, E>
where
    E: Send + 'static,
{
    RetryLayer::builder()
        .max_attempts(4)
        .fixed_backoff(Duration::from_millis(200))
        .build()
}

pub(crate) fn tower_rate() -> Rate {
    Rate::new(RATE.into(), Duration::from_secs(1))
}

/// governor is no layer: its users await it before they call.
pub(crate) fn governed(inner: Inner) -> impl Service<Request<Body>, Error: Debug> {
    let rate = NonZeroU32::new(RATE).expect("the rate is not zero");
    let limiter = DefaultDirectRateLimiter::direct(governor::Quota::per_second(rate));
    let limiter = Arc::new(limiter);
    service_fn(move |request| {
        let (limiter, inner) = (Arc::clone(&limiter), inner.clone());
        async move {
            limiter.until_ready().await;
            inner.oneshot(request).await
        }
    })
}

/// Nor is leaky-bucket.
pub(crate) fn leaking(inner: Inner) -> impl Service<Request<Body>, Error: Debug> {
    let rate = RATE as usize;
    let mut bucket = LeakyBucket::builder();
    bucket
        .initial(rate)
        .max(rate)
        .refill(rate)
        .interval(Duration::from_secs(1));
    let bucket = Arc::new(bucket.build());
    service_fn(move |request| {
        let (bucket, inner) = (Arc::clone(&bucket), inner.clone());
        async move {
            bucket.acquire_one().await;
            inner.oneshot(request).await
        }
    })
}
