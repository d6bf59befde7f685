//! Requests to a language model: the server counts their tokens when they arrive, and the client
//! has only an estimate until the response.

use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_pace::{Charged, Cost, Model, Quota, RateLimitLayer};

use crate::support::{millis, now, status, status_with_retry_after};

const MINUTE: Duration = Duration::from_secs(60);
const REQUESTS: f64 = 500.0;
const TOKENS: f64 = 30_000.0;
/// More callers than the server answers at once, so that some always wait.
const CALLERS: u64 = 40;

/// A bucket that refills in a minute.
struct Bucket {
    size: f64,
    left: f64,
    at: Instant,
}

impl Bucket {
    fn of(size: f64) -> Self {
        Self {
            size,
            left: size,
            at: now(),
        }
    }

    fn refill(&mut self) {
        let refilled = (now() - self.at).as_secs_f64() / 60.0 * self.size;
        (self.left, self.at) = ((self.left + refilled).min(self.size), now());
    }

    /// Returns the time until it is full, as these servers write it.
    fn reset(&self) -> String {
        format!("{:.3}s", (self.size - self.left) / self.size * 60.0)
    }
}

/// A server with a bucket of requests and one of tokens.
struct LanguageModel {
    requests: Bucket,
    tokens: Bucket,
    states_limits: bool,
    throttled: Vec<Instant>,
    /// The tokens of the accepted requests, with their arrivals.
    used: Vec<(Instant, u32)>,
}

impl LanguageModel {
    fn new(states_limits: bool) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            requests: Bucket::of(REQUESTS),
            tokens: Bucket::of(TOKENS),
            states_limits,
            throttled: Vec::new(),
            used: Vec::new(),
        }))
    }

    fn arrive(&mut self, tokens: u32) -> Response<String> {
        self.requests.refill();
        self.tokens.refill();
        if self.requests.left < 1.0 || self.tokens.left < f64::from(tokens) {
            self.throttled.push(now());
            return status_with_retry_after(429, 2);
        }
        self.requests.left -= 1.0;
        self.tokens.left -= f64::from(tokens);
        self.used.push((now(), tokens));
        let mut response = status(200);
        *response.body_mut() = tokens.to_string();
        for (unit, bucket) in [("requests", &self.requests), ("tokens", &self.tokens)] {
            let numbers = [
                ("limit", bucket.size.to_string()),
                ("remaining", bucket.left.floor().to_string()),
                ("reset", bucket.reset()),
            ];
            for (part, number) in numbers.into_iter().filter(|_| self.states_limits) {
                let name = format!("x-ratelimit-{part}-{unit}");
                let name: http::HeaderName = name.parse().unwrap();
                response.headers_mut().insert(name, number.parse().unwrap());
            }
        }
        response
    }

    /// Returns the share of the limit that was used from a time on.
    fn share(&self, from: Instant, to: Instant) -> f64 {
        let used = self.used.iter().filter(|(at, _)| (from..to).contains(at));
        let tokens: f64 = used.map(|&(_, tokens)| f64::from(tokens)).sum();
        tokens / TOKENS / ((to - from).as_secs_f64() / 60.0)
    }
}

/// Sends requests without a pause, and settles each with the tokens that its response states.
async fn call<S>(client: S, mut rng: SmallRng, estimates: RangeInclusive<f64>, end: Instant)
where
    S: Service<Request<(u32, u64)>, Response = Response<String>> + Clone,
    S::Error: std::fmt::Debug,
{
    while now() < end {
        let tokens = rng.random_range(100..=900);
        let estimate = f64::from(tokens) * rng.random_range(estimates.clone());
        let mut request = Request::new((tokens, rng.random()));
        request
            .extensions_mut()
            .insert(Cost::clamped(estimate.ceil() as u64));
        let response = client.clone().oneshot(request).await.unwrap();
        let charged: Option<&Charged> = response.extensions().get();
        let took = response.body().parse().unwrap_or(0);
        charged.unwrap().settle(Cost::clamped(took));
    }
}

/// Runs many callers for twenty minutes. Returns the throttled requests, and the share of the
/// tokens that was used after the first two minutes.
async fn run(
    seed: u64,
    states_limits: bool,
    estimates: RangeInclusive<f64>,
) -> (Vec<Instant>, f64) {
    let server = LanguageModel::new(states_limits);
    let at = Arc::clone(&server);
    let network = service_fn(move |request: Request<(u32, u64)>| {
        let server = Arc::clone(&at);
        async move {
            let (tokens, seed) = request.into_body();
            let mut rng = SmallRng::seed_from_u64(seed);
            sleep(millis(rng.random_range(5..60))).await;
            let response = server.lock().unwrap().arrive(tokens);
            if response.status() == 200 {
                sleep(millis(rng.random_range(5_000..20_000))).await;
            }
            Ok::<_, Infallible>(response)
        }
    });
    let bucket = |size: f64| {
        let (size, refill) = (size as u32, size as u32);
        Quota::per_minute(size).model(Model::TokenBucket { size, refill })
    };
    let (requests, tokens) = (bucket(REQUESTS).unwrap(), bucket(TOKENS).unwrap());
    let quota = requests.by_request().and(tokens).unwrap();
    let client = RateLimitLayer::new(quota).layer(network);
    let (start, end) = (now(), now() + MINUTE * 20);
    let mut callers = JoinSet::new();
    for n in 0..CALLERS {
        let rng = SmallRng::seed_from_u64(seed * 1_000 + n);
        callers.spawn(call(client.clone(), rng, estimates.clone(), end));
    }
    sleep_until(end).await;
    callers.shutdown().await;
    let server = server.lock().unwrap();
    let share = server.share(start + MINUTE * 2, end);
    (server.throttled.clone(), share)
}

#[tokio::test(start_paused = true)]
async fn estimates_that_are_high_enough_are_never_throttled_and_use_all_tokens() {
    for (seed, states_limits) in [(1, false), (2, true)] {
        let (throttled, share) = run(seed, states_limits, 1.0..=2.0).await;
        assert!(throttled.is_empty(), "{seed}: {throttled:?}");
        assert!(share > 0.98, "{seed}: {share:.3}");
    }
}

#[tokio::test(start_paused = true)]
async fn estimates_that_are_half_too_low_are_seldom_throttled() {
    for (seed, states_limits) in [(1, false), (2, true)] {
        let (throttled, share) = run(seed, states_limits, 0.5..=2.0).await;
        let crowded = throttled.windows(2).any(|pair| pair[1] - pair[0] < MINUTE);
        assert!(!crowded, "{seed}: {throttled:?}");
        assert!(share > 0.98, "{seed}: {share:.3}");
    }
}
