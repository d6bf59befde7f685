//! The processor time of many waiters: up to 100,000 callers at once on one limiter of 5,000
//! requests per second, in real time.

use std::fmt::Debug;
use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::DefaultDirectRateLimiter;
use http::Request;
use leaky_bucket::RateLimiter as LeakyBucket;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_pace::{Quota, RateLimitLayer};

use crate::inner::{Body, Inner, request};
use crate::measure::now;

const PER_SECOND: u32 = 5_000;
const WAITERS: [usize; 3] = [1_000, 10_000, 100_000];

/// Prints the processor time of all calls and of one call.
///
/// # Errors
///
/// Fails if there is no runtime, or if `/proc` does not show the processor time.
pub(crate) fn print() -> io::Result<()> {
    println!("\n| waiters | limiter | processor time | per call |\n|--:|---|--:|--:|");
    for waiters in WAITERS {
        let quota = Quota::per_second(PER_SECOND);
        let ours = RateLimitLayer::new(quota).layer(Inner::new());
        print_row(waiters, "tower-pace", &ours)?;
        print_row(waiters, "leaky-bucket", &leaking(Inner::new()))?;
        print_row(waiters, "governor", &governed(Inner::new()))?;
        print_row(waiters, "no limit: a timer each", &spread(Inner::new()))?;
    }
    Ok(())
}

fn print_row<S>(waiters: usize, name: &str, service: &S) -> io::Result<()>
where
    S: Service<Request<Body>, Error: Debug, Future: Send> + Clone + Send + 'static,
{
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let before = processor_time()?;
    runtime.block_on(async {
        let mut calls = JoinSet::new();
        for _ in 0..waiters {
            let call = service.clone().oneshot(request());
            calls.spawn(async move { drop(call.await.expect("it does not fail")) });
        }
        calls.join_all().await;
    });
    let spent = processor_time()?.saturating_sub(before);
    let each = spent.as_secs_f64() * 1e6 / waiters as f64;
    println!("| {waiters} | {name} | {spent:.2?} | {each:.1} us |");
    Ok(())
}

/// Returns the processor time of this thread, which runs everything, in user mode and in the
/// kernel.
pub(crate) fn processor_time() -> io::Result<Duration> {
    let nanos = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = nanos.split(' ').next().and_then(|nanos| nanos.parse().ok());
    let nanos = nanos
        .ok_or_else(|| io::Error::other("/proc/thread-self/schedstat shows no processor time"));
    nanos.map(Duration::from_nanos)
}

fn governed(
    inner: Inner,
) -> impl Service<Request<Body>, Error: Debug, Future: Send> + Clone + Send + 'static {
    let rate = NonZeroU32::new(PER_SECOND).expect("the rate is not zero");
    let quota = governor::Quota::per_second(rate);
    let limiter = Arc::new(DefaultDirectRateLimiter::direct(quota));
    service_fn(move |request| {
        let (limiter, inner) = (Arc::clone(&limiter), inner.clone());
        async move {
            limiter.until_ready().await;
            inner.oneshot(request).await
        }
    })
}

/// The least that a limiter needs: each caller wakes once, at a moment that is known from the
/// start.
fn spread(
    inner: Inner,
) -> impl Service<Request<Body>, Error: Debug, Future: Send> + Clone + Send + 'static {
    let start = Instant::from_std(now());
    let positions = Arc::new(AtomicU32::new(0));
    service_fn(move |request| {
        let position = positions.fetch_add(1, Ordering::Relaxed);
        let inner = inner.clone();
        async move {
            sleep_until(start + Duration::from_secs(1) * position / PER_SECOND).await;
            inner.oneshot(request).await
        }
    })
}

fn leaking(
    inner: Inner,
) -> impl Service<Request<Body>, Error: Debug, Future: Send> + Clone + Send + 'static {
    let mut bucket = LeakyBucket::builder();
    bucket.refill(5).interval(Duration::from_millis(1));
    let bucket = Arc::new(bucket.build());
    service_fn(move |request| {
        let (bucket, inner) = (Arc::clone(&bucket), inner.clone());
        async move {
            bucket.acquire_one().await;
            inner.oneshot(request).await
        }
    })
}
