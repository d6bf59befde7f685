//! What many waiters cost: so many callers at once on one limiter of 5,000 requests a second, in real time.

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
const CROWDS: [usize; 3] = [1_000, 10_000, 100_000];

/// Prints the time on the processor, in all and for a call.
///
/// # Errors
///
/// Fails if there is no runtime, or no `/proc` that tells the time on the processor.
pub(crate) fn print() -> io::Result<()> {
    println!("\n| waiters | limiter | on the processor | a call |\n|--:|---|--:|--:|");
    for crowd in CROWDS {
        let quota = Quota::per_second(PER_SECOND);
        let ours = RateLimitLayer::new(quota).layer(Inner::new());
        print_row(crowd, "tower-pace", &ours)?;
        print_row(crowd, "leaky-bucket", &leaking(Inner::new()))?;
        print_row(crowd, "governor", &governed(Inner::new()))?;
        print_row(crowd, "no limit: a timer each", &spread(Inner::new()))?;
    }
    Ok(())
}

fn print_row<S>(crowd: usize, name: &str, service: &S) -> io::Result<()>
where
    S: Service<Request<Body>, Error: Debug, Future: Send> + Clone + Send + 'static,
{
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let before = on_the_processor()?;
    runtime.block_on(async {
        let mut calls = JoinSet::new();
        for _ in 0..crowd {
            let call = service.clone().oneshot(request());
            calls.spawn(async move { drop(call.await.expect("it does not fail")) });
        }
        calls.join_all().await;
    });
    let spent = on_the_processor()?.saturating_sub(before);
    let each = spent.as_secs_f64() * 1e6 / crowd as f64;
    println!("| {crowd} | {name} | {spent:.2?} | {each:.1} us |");
    Ok(())
}

/// The time that this thread, which runs everything, has spent on a processor, in user mode and in the kernel.
pub(crate) fn on_the_processor() -> io::Result<Duration> {
    let nanos = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = nanos.split(' ').next().and_then(|nanos| nanos.parse().ok());
    let nanos = nanos.ok_or_else(|| io::Error::other("the kernel tells no time on the processor"));
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

/// What no limiter can do without: each caller wakes once, at a moment that is known when it comes.
fn spread(
    inner: Inner,
) -> impl Service<Request<Body>, Error: Debug, Future: Send> + Clone + Send + 'static {
    let start = Instant::from_std(now());
    let places = Arc::new(AtomicU32::new(0));
    service_fn(move |request| {
        let place = places.fetch_add(1, Ordering::Relaxed);
        let inner = inner.clone();
        async move {
            sleep_until(start + Duration::from_secs(1) * place / PER_SECOND).await;
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
