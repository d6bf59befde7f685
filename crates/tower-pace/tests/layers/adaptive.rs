//! An adaptive limit beside the best fixed one for the same server, in the scenarios of Vector's
//! adaptive request concurrency and some more.
//! `cargo test -p tower-pace --test layers adaptive -- --nocapture` prints the table.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_pace::concurrency::Handle;
use tower_pace::{Adaptive, ConcurrencyLayer, Quota, RateLimitLayer};

use crate::simulated_server::{Arrival, Behavior, Reaction, Run, SimulatedServer, Workload};
use crate::support::{Server, get, millis, now, status};

const DELAY: Duration = millis(100);
/// The limit that Vector's own reaches on a link that is never full.
const MOST: usize = 32;

struct Scenario {
    name: &'static str,
    behavior: Behavior,
    workload: Workload,
    quota: Option<u32>,
}

impl Scenario {
    const fn new(name: &'static str, requests: u32, behavior: Behavior) -> Self {
        let workload = Workload {
            requests,
            interval: Duration::ZERO,
        };
        Self {
            name,
            behavior,
            workload,
            quota: None,
        }
    }

    async fn run(&self, layer: ConcurrencyLayer) -> Run {
        let server = SimulatedServer::new(self.behavior);
        let client = layer.layer(server.clone());
        match self.quota {
            None => server.drive(self.workload, client).await,
            Some(limit) => {
                let rate = RateLimitLayer::new(Quota::per_second(limit));
                server.drive(self.workload, rate.layer(client)).await
            }
        }
    }

    /// Returns the fixed limit with the most successes per second, and its run. Of equal limits it
    /// is the lowest.
    async fn best_fixed(&self) -> (usize, Run) {
        let mut best: Option<(usize, Run)> = None;
        for limit in [1, 5, 9, 10, 11, 12, MOST] {
            let run = self.run(ConcurrencyLayer::new(limit)).await;
            let is_better = |best: &Run| run.throughput() > best.throughput() * 1.001;
            if best.as_ref().is_none_or(|(_, best)| is_better(best)) {
                best = Some((limit, run));
            }
        }
        best.unwrap()
    }
}

const SCENARIOS: &[Scenario] = &[
    Scenario::new("constant-link", 500, |_| Reaction::Answers(200, DELAY)),
    Scenario {
        quota: Some(100),
        ..Scenario::new(
            "defers-at-high-rate, full stack",
            1_000,
            |Arrival { recent, .. }| Reaction::Answers(if recent < 100 { 200 } else { 429 }, DELAY),
        )
    },
    Scenario::new(
        "drops-at-high-concurrency",
        500,
        |Arrival { active, .. }| match active {
            0..=5 => Reaction::Answers(200, DELAY),
            _ => Reaction::Drops,
        },
    ),
    // Two hundred requests fail until a limit below 5 is found. With fewer requests than 3,000,
    // these failures would decide the result.
    Scenario::new(
        "503-at-high-concurrency",
        3_000,
        |Arrival { active, .. }| match active {
            0..=5 => Reaction::Answers(200, DELAY),
            _ => Reaction::Answers(503, millis(5)),
        },
    ),
    Scenario::new("shallow-knee", 1_000, |Arrival { active, .. }| {
        let over = i32::try_from(active.saturating_sub(10)).unwrap();
        Reaction::Answers(200, DELAY.mul_f64(1.1_f64.powi(over)))
    }),
    Scenario {
        workload: Workload {
            requests: 100,
            interval: DELAY,
        },
        ..Scenario::new("slow-send-1", 100, |_| Reaction::Answers(200, millis(50)))
    },
    Scenario::new("queue-of-10", 1_000, |arrival| queue(arrival, 10)),
    Scenario::new(
        "queue-of-10, latency of half to one and a half",
        1_000,
        |arrival| {
            let Reaction::Answers(status, after) = queue(arrival, 10) else {
                unreachable!("a queue answers")
            };
            Reaction::Answers(status, after.mul_f64(0.5 + noise(arrival.before)))
        },
    ),
];

/// Serves `capacity` requests at once in the usual time. The latency of more grows with their
/// number.
fn queue(arrival: Arrival, capacity: usize) -> Reaction {
    let load = arrival.active as f64 / capacity as f64;
    Reaction::Answers(200, DELAY.mul_f64(load.max(1.0)))
}

/// Returns a pseudo-random number between 0 and 1.
fn noise(n: usize) -> f64 {
    let hash = (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (hash >> 40) as f64 / f64::from(1 << 24)
}

fn adaptive() -> ConcurrencyLayer {
    ConcurrencyLayer::adaptive(Adaptive::between(1, MOST))
}

#[tokio::test(start_paused = true)]
async fn adaptive_is_near_the_best_fixed_limit_without_knowing_the_server() {
    println!(
        "\n| scenario | best n | its successes/s, latency | ours | share \
         | mean in flight, by Little's law | most | errors |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for scenario in SCENARIOS {
        let (n, best) = scenario.best_fixed().await;
        let run = scenario.run(adaptive()).await;
        let share = run.throughput() / best.throughput();
        let little = run.throughput() * best.mean_latency();
        println!(
            "| {} | {n} | {:.1}, {:.0} ms | {:.1}, {:.0} ms | {share:.2} \
             | {:.1}, {little:.1} | {} | {} |",
            scenario.name,
            best.throughput(),
            best.mean_latency() * 1e3,
            run.throughput(),
            run.mean_latency() * 1e3,
            run.mean_active,
            run.most_active,
            run.errors,
        );
        assert!(share >= 0.9, "{}: {share}", scenario.name);
        assert!(
            run.mean_active <= 1.5 * little,
            "{}: {}",
            scenario.name,
            run.mean_active
        );
        assert!(
            run.mean_latency() <= 1.3 * best.mean_latency(),
            "{}: {}",
            scenario.name,
            run.mean_latency()
        );
        assert!(
            scenario.quota.is_none() || run.errors == 0,
            "{}: {}",
            scenario.name,
            run.errors
        );
    }
}

/// Asserts that a hundred round trips after each change, the server's capacity is used and its
/// queue is short.
async fn check_follows(behavior: Behavior, changes: &[(u64, f64, f64)]) {
    let workload = Workload {
        requests: 10_500,
        interval: Duration::ZERO,
    };
    let server = SimulatedServer::new(behavior);
    let layer = ConcurrencyLayer::adaptive(Adaptive::between(1, 64));
    let run = server.drive(workload, layer.layer(server.clone())).await;
    for &(second, capacity, delay) in changes {
        let begin = Duration::from_secs(second) + DELAY * 100;
        let (rate, latency) = run.between(begin, begin + Duration::from_secs(10));
        println!(
            "from {second} s on: {rate:.1}/s of {capacity}/s at {:.0} ms",
            latency * 1e3
        );
        assert!(
            rate >= 0.8 * capacity && latency <= 1.3 * delay,
            "{second}: {rate}, {latency}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_follows_a_changed_capacity_within_a_hundred_round_trips() {
    let behavior: Behavior = |arrival| match arrival.at.as_secs() {
        20..50 => queue(arrival, 5),
        _ => queue(arrival, 20),
    };
    check_follows(
        behavior,
        &[(0, 200.0, 0.1), (20, 50.0, 0.1), (50, 200.0, 0.1)],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_longer_path_is_not_taken_for_a_queue() {
    let behavior: Behavior = |arrival| {
        let Reaction::Answers(status, after) = queue(arrival, 20) else {
            unreachable!("a queue answers")
        };
        Reaction::Answers(
            status,
            if arrival.at.as_secs() < 20 {
                after
            } else {
                after * 2
            },
        )
    };
    check_follows(behavior, &[(0, 200.0, 0.1), (20, 100.0, 0.2)]).await;
}

/// Returns a server whose latency is exponential, with a mean of 100 ms at any load.
fn varying(
    seed: u64,
) -> impl Service<
    Request<String>,
    Response = Response<String>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<String>, Infallible>> + Send,
> + Clone
+ Send
+ 'static {
    let rng = Arc::new(Mutex::new(SmallRng::seed_from_u64(seed)));
    service_fn(move |_: Request<String>| {
        let share: f64 = rng.lock().unwrap().random();
        let latency = DELAY.mul_f64(-(1.0_f64 - share).ln());
        async move {
            tokio::time::sleep(latency).await;
            Ok(status(200))
        }
    })
}

/// Returns the requests per second that are served to 300 callers, from 20 s to 50 s.
async fn rate(layer: ConcurrencyLayer) -> f64 {
    let service = layer.layer(varying(3));
    let (served, mut callers) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for _ in 0..300 {
        let (service, served) = (service.clone(), Arc::clone(&served));
        callers.spawn(async move {
            loop {
                service.clone().oneshot(get()).await.unwrap();
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    let before = served.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(30)).await;
    (served.load(Ordering::Relaxed) - before) as f64 / 30.0
}

/// Latency that varies at any load is not taken for a queue: the limit rises to its upper bound.
#[tokio::test(start_paused = true)]
async fn ample_capacity_is_used_though_latency_varies() {
    let fixed = rate(ConcurrencyLayer::new(200)).await;
    let adaptive = rate(ConcurrencyLayer::adaptive(Adaptive::between(1, 200))).await;
    println!("latency varies: {adaptive:.0}/s beside {fixed:.0}/s");
    assert!(adaptive >= 0.9 * fixed, "{adaptive}/s beside {fixed}/s");
}

fn limit(handle: &Handle) -> usize {
    handle.snapshot().limit
}

/// Sends `requests` requests at once and cancels every `cancelled`th after half of its time.
/// Returns the number of successes.
async fn send_at_once<S>(service: &S, requests: usize, cancelled: usize) -> usize
where
    S: Service<Request<String>> + Clone + Send + 'static,
    S::Future: Send,
{
    let mut tasks = JoinSet::new();
    for n in 1..=requests {
        let call = service.clone().oneshot(get());
        tasks.spawn(async move {
            match n % cancelled {
                0 => tokio::time::timeout(DELAY / 2, call).await.is_ok(),
                _ => call.await.is_ok(),
            }
        });
    }
    tasks.join_all().await.into_iter().filter(|&ok| ok).count()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_at_once_are_all_served() {
    let (layer, start) = (ConcurrencyLayer::adaptive(Adaptive::default()), now());
    let server = SimulatedServer::new(|_| Reaction::Answers(200, DELAY));
    let workload = Workload {
        requests: 1_000,
        interval: Duration::ZERO,
    };
    let run = server.drive(workload, layer.layer(server.clone())).await;
    assert_eq!((run.successes.len(), run.most_active), (1_000, 200));
    assert_eq!(layer.handle().snapshot().in_flight, 0);
    // With 200 in flight from the start it would take 500 ms.
    assert!(now() - start <= millis(1_000), "{:?}", now() - start);
    let layer = ConcurrencyLayer::adaptive(Adaptive::default());
    assert_eq!(
        send_at_once(&layer.layer(varying(1)), 1_000, usize::MAX).await,
        1_000
    );
}

#[tokio::test(start_paused = true)]
async fn cancelled_requests_hold_no_permit_and_leave_the_limit_unchanged() {
    let layer = ConcurrencyLayer::adaptive(Adaptive::between(1, 50));
    let service = layer.layer(Server::new(DELAY, |_| status(200)));
    let served = send_at_once(&service, 3_000, 3).await;
    assert_eq!(served, 2_000);
    let snapshot = layer.handle().snapshot();
    assert_eq!((snapshot.in_flight, snapshot.queued), (0, 0));
    assert_eq!(snapshot.limit, 50, "two of three were served in time");
    let unanswered = ConcurrencyLayer::adaptive(Adaptive::between(1, 50));
    let hanging = unanswered.layer(Server::new(Duration::from_secs(60), |_| status(200)));
    assert_eq!(send_at_once(&hanging, 500, 1).await, 0);
    assert_eq!(limit(&unanswered.handle()), 10);
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_shows_the_limit_of_a_trial_and_set_limit_ends_the_trial() {
    let layer = ConcurrencyLayer::adaptive(Adaptive::between(1, 200));
    let (handle, server) = (layer.handle(), Server::new(DELAY, |_| status(200)));
    let service = layer.layer(server.clone());
    let work = tokio::spawn(async move { send_at_once(&service, 500, usize::MAX).await });
    tokio::time::sleep(DELAY / 2).await;
    assert_eq!((limit(&handle), handle.snapshot().in_flight), (10, 10));
    tokio::time::sleep(DELAY).await;
    assert_eq!((limit(&handle), handle.snapshot().in_flight), (20, 20));
    handle.set_limit(5);
    assert_eq!((limit(&handle), handle.snapshot().in_flight), (5, 20));
    tokio::time::sleep(DELAY).await;
    // Requests that departed in the trial say nothing about the new limit.
    assert_eq!((limit(&handle), handle.snapshot().in_flight), (5, 5));
    let sent = server.calls().len();
    tokio::time::sleep(DELAY).await;
    assert_eq!(server.calls().len() - sent, 5);
    assert_eq!(work.await.unwrap(), 500);
    assert!(limit(&handle) > 20, "it adapts from there on");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_ends_leaves_the_limit_unchanged() {
    let layer = ConcurrencyLayer::adaptive(Adaptive::between(1, 64));
    let service = layer.layer(Server::new(DELAY, |_| status(200)));
    send_at_once(&service, 200, usize::MAX).await;
    let learned = limit(&layer.handle());
    assert!(learned > 20, "{learned}");
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        send_at_once(&service, 1, usize::MAX).await;
        assert_eq!(
            limit(&layer.handle()),
            learned,
            "one request does not use the whole limit"
        );
    }
    let start = now();
    send_at_once(&service, learned, usize::MAX).await;
    assert_eq!(now() - start, DELAY, "the whole limit is available at once");
}

/// Nine bodies are unread, so only the dropped call releases a permit. The other requests depart
/// since the limit grows.
#[tokio::test(start_paused = true)]
async fn a_dropped_call_may_raise_the_limit_and_wake_the_waiters() {
    let layer = ConcurrencyLayer::adaptive(Adaptive::between(1, 64));
    let server = Server::new(DELAY, |_| Response::new(String::from("to be read")));
    let slow = layer.layer(Server::new(DELAY * 3, |_| status(200)));
    let dropped = tokio::spawn(slow.oneshot(get()));
    tokio::task::yield_now().await;
    let (service, mut tasks) = (layer.layer(server.clone()), JoinSet::new());
    for _ in 0..40 {
        tasks.spawn(service.clone().oneshot(get()));
    }
    tokio::time::sleep(DELAY * 2).await;
    assert_eq!((server.calls().len(), limit(&layer.handle())), (9, 10));
    dropped.abort();
    tokio::time::sleep(millis(1)).await;
    assert_eq!((server.calls().len(), limit(&layer.handle())), (20, 20));
}

/// All requests in flight end at the same moment, and the waiters depart one by one.
#[tokio::test(start_paused = true)]
async fn simultaneous_answers_raise_the_limit_as_others_do() {
    let layer = ConcurrencyLayer::adaptive(Adaptive::between(1, 200));
    layer.handle().set_limit(20);
    let service = layer.layer(Server::new(DELAY, |_| status(200)));
    let calls = tokio::spawn(async move { send_at_once(&service, 5_000, usize::MAX).await });
    // Six steps of a half, of which the first waits for two cohorts.
    tokio::time::sleep(DELAY * 20).await;
    assert_eq!(limit(&layer.handle()), 200);
    calls.abort();
}

/// The bodies are unread, so no permit is released: the waiters depart since the limit has grown.
#[tokio::test(start_paused = true)]
async fn a_limit_that_grows_lets_waiters_depart_at_once() {
    let server = Server::new(millis(10), |_| Response::new(String::from("to be read")));
    let layer = ConcurrencyLayer::adaptive(Adaptive::between(1, 64));
    let service = layer.layer(server.clone());
    let (mut tasks, start) = (JoinSet::new(), now());
    for _ in 0..15 {
        tasks.spawn(service.clone().oneshot(get()));
    }
    let unread = tasks.join_all().await;
    assert_eq!(layer.handle().snapshot().in_flight, unread.len());
    assert!(server.calls()[10] - start <= millis(12));
}
