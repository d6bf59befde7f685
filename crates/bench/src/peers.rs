//! The peers, with settings that compare with ours. No limit is ever reached, so only the cost of
//! the layer is measured.

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
use tower::retry::budget::{Budget, TpsBudget};
use tower::{Service, ServiceExt, service_fn};
use tower_pace::retry::Verdict;
use tower_resilience_bulkhead::BulkheadLayer;
use tower_resilience_ratelimiter::RateLimiterLayer;
use tower_resilience_retry::RetryLayer;

use crate::inner::{Body, Inner};

/// Departures are a nanosecond apart. A call takes longer, so no request waits.
pub(crate) const RATE: u32 = 1_000_000_000;
pub(crate) const PERMITS: usize = 32;

/// A policy for tower's retry: the given number of retries without a backoff, of the statuses that
/// ours retries.
#[derive(Clone)]
pub(crate) struct Retries(u32);

impl Retries {
    pub(crate) fn up_to(retries: u32) -> Self {
        Self(retries)
    }

    /// Returns the number of retries that ours has by default.
    pub(crate) fn three() -> Self {
        Self::up_to(3)
    }
}

impl<C, E> Policy<Request<Body>, Response<C>, E> for Retries {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut Result<Response<C>, E>,
    ) -> Option<Ready<()>> {
        let failed = match result {
            Ok(response) => Verdict::of(response.status().as_u16()) != Verdict::Final,
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

/// The same with the retry budget that ours has by default: one retry per ten requests of the last
/// ten seconds, and three per second in addition.
#[derive(Clone)]
pub(crate) struct BudgetedRetries {
    retries: Retries,
    budget: Arc<TpsBudget>,
}

impl BudgetedRetries {
    pub(crate) fn three() -> Self {
        Self {
            retries: Retries::three(),
            budget: Arc::new(TpsBudget::new(Duration::from_secs(10), 3, 0.1)),
        }
    }
}

impl<C, E> Policy<Request<Body>, Response<C>, E> for BudgetedRetries {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        request: &mut Request<Body>,
        result: &mut Result<Response<C>, E>,
    ) -> Option<Ready<()>> {
        let Some(pause) = self.retries.retry(request, result) else {
            self.budget.deposit();
            return None;
        };
        self.budget.withdraw().then_some(pause)
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

/// governor has no layer: its users await it before they call.
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

/// leaky-bucket has no layer either.
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
