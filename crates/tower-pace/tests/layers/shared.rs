//! A limit that several processes share. The store is a record of the crate `pacing` on tokio's
//! clock, and each layer is a process.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pacing::shared::{Record, Reply};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt};
use tower_pace::rate::HeldBy;
use tower_pace::rate::shared::{NamedCall, SharedDriver, SharedLimits, SharedStore};
use tower_pace::{Quota, RateLimit, RateLimitLayer};

use crate::support::{Server, get, millis, now, status, status_with_retry_after};

/// A store in memory.
#[derive(Clone)]
struct Store {
    round_trip: Duration,
    state: Arc<Mutex<State>>,
}

struct State {
    start: Instant,
    records: HashMap<Arc<str>, Record>,
    is_away: bool,
    calls: usize,
}

#[derive(Debug)]
struct IsAway;

impl fmt::Display for IsAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store is away")
    }
}

impl std::error::Error for IsAway {}

impl Store {
    fn new() -> Self {
        Self {
            round_trip: millis(2),
            state: Arc::new(Mutex::new(State {
                start: now(),
                records: HashMap::new(),
                is_away: false,
                calls: 0,
            })),
        }
    }

    fn set_away(&self, is_away: bool) {
        self.state.lock().unwrap().is_away = is_away;
    }

    fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }
}

impl SharedStore for Store {
    type Error = IsAway;

    fn round_trip(&self) -> Duration {
        self.round_trip
    }

    async fn call(&self, calls: &[NamedCall]) -> Vec<Result<Reply, IsAway>> {
        sleep(self.round_trip / 2).await;
        let replies = calls.iter().map(|call| self.apply(call)).collect();
        sleep(self.round_trip / 2).await;
        replies
    }
}

impl Store {
    fn apply(&self, call: &NamedCall) -> Result<Reply, IsAway> {
        let mut state = self.state.lock().unwrap();
        state.calls += 1;
        if state.is_away {
            return Err(IsAway);
        }
        let clock = 1_000_000_000 + i64::try_from((now() - state.start).as_micros()).unwrap();
        let record = state.records.entry(Arc::clone(&call.name)).or_default();
        Ok(record.apply(&call.call, clock))
    }
}

/// A process: its service, and the task of its driver.
struct Process {
    layer: RateLimitLayer,
    service: RateLimit<Server>,
    driver: JoinHandle<()>,
}

fn quota() -> Quota {
    Quota::per_second(100).unused_at_start()
}

fn process(store: &Store, server: &Server) -> Process {
    let (limits, driver) = SharedLimits::new(store.clone());
    let layer = RateLimitLayer::new(quota())
        .shared("server", &limits)
        .unwrap();
    Process {
        service: layer.layer(server.clone()),
        layer,
        driver: tokio::spawn(driver.run()),
    }
}

/// Sends requests of a process, all at once, and waits for their responses.
async fn send(service: RateLimit<Server>, requests: usize) {
    let mut tasks = JoinSet::new();
    for _ in 0..requests {
        tasks.spawn(service.clone().oneshot(get()));
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn processes_together_keep_the_interval_of_the_limit_and_share_it_equally() {
    let store = Store::new();
    let servers = [(); 4].map(|()| Server::ok());
    let processes = servers.each_ref().map(|server| process(&store, server));
    let mut tasks = JoinSet::new();
    for process in &processes {
        tasks.spawn(send(process.service.clone(), 500));
    }
    sleep(Duration::from_secs(10)).await;
    let mut departures = Vec::new();
    for server in &servers {
        let calls = server.calls();
        assert!((210..=235).contains(&calls.len()), "{}", calls.len());
        departures.extend(calls);
    }
    departures.sort();
    assert!(departures.len() >= 870, "{}", departures.len());
    // The limit of 100 counts in any window; the quota leaves 10 % for the jitter.
    for window in departures.windows(92) {
        assert!(window[91] - window[0] >= millis(1_000));
    }
    // Each process calls for its turn, not for each look.
    assert!(store.calls() < 4 * 10 * 30, "{}", store.calls());
}

#[tokio::test(start_paused = true)]
async fn a_lone_request_departs_after_one_round_trip_even_if_it_may_not_wait() {
    let (store, server) = (Store::new(), Server::ok());
    let (limits, driver) = SharedLimits::new(store.clone());
    let layer = RateLimitLayer::new(quota()).fail_fast();
    let layer = layer.shared("server", &limits).unwrap();
    tokio::spawn(driver.run());
    let service = layer.layer(server.clone());
    for _ in 0..10 {
        sleep(millis(300)).await;
        let start = now();
        service.clone().oneshot(get()).await.unwrap();
        assert!(now() - start <= millis(4), "{:?}", now() - start);
    }
    // A second request at once has to wait for its interval.
    sleep(millis(300)).await;
    let (one, other) = tokio::join!(
        service.clone().oneshot(get()),
        service.clone().oneshot(get())
    );
    assert!(one.is_ok() && other.unwrap_err().is_rejected());
}

#[tokio::test(start_paused = true)]
async fn a_throttled_response_closes_the_gate_of_all_processes() {
    let (store, second) = (Store::new(), Server::ok());
    let first = Server::new(Duration::ZERO, |n| match n {
        1 => status_with_retry_after(429, 2),
        _ => status(200),
    });
    let (one, other) = (process(&store, &first), process(&store, &second));
    send(one.service.clone(), 1).await;
    let throttled = now();
    send(one.service.clone(), 1).await;
    send(other.service.clone(), 1).await;
    assert!(
        now() - throttled >= millis(2_000),
        "{:?}",
        now() - throttled
    );
    let snapshot = other.layer.handle().snapshot();
    assert_eq!(snapshot.counters.throttled, 0);
    // The rate of both is 80 % then.
    let start = now();
    send(other.service.clone(), 72).await;
    assert!(now() - start >= millis(950), "{:?}", now() - start);
}

#[tokio::test(start_paused = true)]
async fn without_the_store_each_process_departs_at_its_part_and_returns_by_itself() {
    let store = Store::new();
    let servers = [(); 4].map(|()| Server::ok());
    let processes = servers.each_ref().map(|server| process(&store, server));
    let mut tasks = JoinSet::new();
    for process in &processes {
        tasks.spawn(send(process.service.clone(), 2_000));
    }
    let total = || {
        servers
            .iter()
            .map(|server| server.calls().len())
            .sum::<usize>()
    };
    sleep(Duration::from_secs(5)).await;
    store.set_away(true);
    sleep(Duration::from_secs(2)).await;
    let before = total();
    sleep(Duration::from_secs(10)).await;
    let away = total() - before;
    // A quarter of the limit is 25, so each departs at 24 in 1.1 s.
    assert!((800..=880).contains(&away), "{away}");
    let shared = processes[0].layer.handle().snapshot().shared.unwrap();
    assert!(shared.is_away && shared.is_divisible && shared.processes == 4);
    store.set_away(false);
    sleep(Duration::from_secs(2)).await;
    assert!(
        !processes[0]
            .layer
            .handle()
            .snapshot()
            .shared
            .unwrap()
            .is_away
    );
    let before = total();
    sleep(Duration::from_secs(10)).await;
    assert!(total() - before >= 880, "{}", total() - before);
}

#[tokio::test(start_paused = true)]
async fn a_limit_whose_driver_is_not_spawned_or_is_dropped_departs_at_its_part() {
    let (store, server) = (Store::new(), Server::ok());
    let (limits, driver) = SharedLimits::new(store.clone());
    let layer = RateLimitLayer::new(quota())
        .shared("server", &limits)
        .unwrap();
    send(layer.layer(server.clone()), 10).await;
    assert!(layer.handle().snapshot().shared.unwrap().is_away);
    assert_eq!(store.calls(), 0);
    let driver = tokio::spawn(driver.run());
    sleep(millis(1_000)).await;
    send(layer.layer(server.clone()), 10).await;
    assert!(!layer.handle().snapshot().shared.unwrap().is_away);
    driver.abort();
    send(layer.layer(server.clone()), 10).await;
    assert!(layer.handle().snapshot().shared.unwrap().is_away);
}

#[tokio::test(start_paused = true)]
async fn a_process_whose_store_was_never_there_has_its_part_of_the_stated_number() {
    let (store, server) = (Store::new(), Server::ok());
    store.set_away(true);
    let (limits, driver) = SharedLimits::for_processes(store, NonZeroU32::new(4).unwrap());
    tokio::spawn(driver.run());
    let layer = RateLimitLayer::new(quota())
        .shared("server", &limits)
        .unwrap();
    tokio::spawn(send(layer.layer(server.clone()), 2_000));
    sleep(Duration::from_secs(11)).await;
    // A quarter of the limit is 25, so it departs at 24 in 1.1 s.
    let sent = server.calls().len();
    assert!((225..=245).contains(&sent), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn the_driver_ends_after_the_layers_and_services_are_dropped() {
    let (store, server) = (Store::new(), Server::ok());
    let Process {
        layer,
        service,
        driver,
    } = process(&store, &server);
    send(service, 1).await;
    drop(layer);
    let ended = now();
    driver.await.unwrap();
    assert!(now() - ended <= millis(10_100));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_too_slow_for_the_jitter_is_an_error_with_the_figures() {
    let store = Store {
        round_trip: millis(60),
        ..Store::new()
    };
    let (limits, _) = SharedLimits::new(store);
    let error = RateLimitLayer::new(quota())
        .shared("server", &limits)
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("62ms") && text.contains("jitter_ceiling of at least 186ms"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_becomes_too_slow_counts_as_away() {
    let (store, server) = (Store::new(), Server::ok());
    let slow = Store {
        round_trip: millis(60),
        ..store
    };
    // The same limit with a store that has measured less than it takes now.
    struct Optimist(Store);
    impl SharedStore for Optimist {
        type Error = IsAway;
        fn round_trip(&self) -> Duration {
            millis(2)
        }
        async fn call(&self, calls: &[NamedCall]) -> Vec<Result<Reply, IsAway>> {
            self.0.call(calls).await
        }
    }
    let (limits, driver) = SharedLimits::new(Optimist(slow));
    let layer = RateLimitLayer::new(quota())
        .shared("server", &limits)
        .unwrap();
    tokio::spawn(driver.run());
    send(layer.layer(server.clone()), 5).await;
    let shared = layer.handle().snapshot().shared.unwrap();
    assert!(
        shared.is_away && shared.round_trip >= millis(60),
        "{shared:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slower_quota_under_the_same_name_holds_for_all_and_shows() {
    let (store, server) = (Store::new(), Server::ok());
    let fast = process(&store, &server);
    let (limits, driver) = SharedLimits::new(store.clone());
    let slow = RateLimitLayer::new(Quota::per_second(10).unused_at_start());
    let slow = slow.shared("server", &limits).unwrap();
    tokio::spawn(driver.run());
    send(slow.layer(server.clone()), 1).await;
    let start = now();
    send(fast.service.clone(), 10).await;
    assert!(now() - start >= millis(1_000), "{:?}", now() - start);
    assert!(fast.layer.handle().snapshot().shared.unwrap().is_slower);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_store_shows_in_the_handle() {
    let (store, server) = (Store::new(), Server::ok());
    let Process { layer, .. } = process(&store, &server);
    let snapshot = layer.handle().snapshot();
    assert_eq!(snapshot.held_by, HeldBy::Shared);
    assert_eq!(snapshot.quota, quota());
}

#[tokio::test(start_paused = true)]
async fn each_key_has_a_shared_limit_and_one_call_is_for_all_that_are_due() {
    let store = Store::new();
    let servers = [(); 2].map(|()| Server::ok());
    let mut tasks = JoinSet::new();
    for server in &servers {
        let (limits, driver) = SharedLimits::new(store.clone());
        tokio::spawn(driver.run());
        let key = |request: &http::Request<String>| request.uri().path().to_owned();
        let layer = RateLimitLayer::keyed(quota(), key);
        let layer = layer.shared("server", &limits, String::clone).unwrap();
        for path in ["/a", "/b"] {
            let service = layer.layer(server.clone());
            tasks.spawn(async move {
                let mut requests = JoinSet::new();
                for _ in 0..100 {
                    let request = http::Request::get(path).body(String::new()).unwrap();
                    requests.spawn(service.clone().oneshot(request));
                }
                requests.join_all().await;
            });
        }
    }
    let start = now();
    tasks.join_all().await;
    // 200 requests of each key, by both processes together.
    let time = now() - start;
    assert!(time >= millis(2_200) && time < millis(2_400), "{time:?}");
    let names: Vec<_> = store
        .state
        .lock()
        .unwrap()
        .records
        .keys()
        .cloned()
        .collect();
    assert!(names.iter().any(|name| &**name == "server//a"), "{names:?}");
    // Those of the two keys, and that of the layer.
    assert_eq!(names.len(), 3, "{names:?}");
}

fn assert_send<T: Send>(_: &T) {}

#[tokio::test(start_paused = true)]
async fn a_driver_can_be_spawned_on_any_runtime() {
    let (_, driver): (_, SharedDriver<Store>) = SharedLimits::new(Store::new());
    assert_send(&driver.run());
}

#[tokio::test(start_paused = true)]
async fn a_paused_process_leaves_the_limit_to_the_others_and_asks_again_when_it_resumes() {
    let (store, server) = (Store::new(), Server::ok());
    let (one, other) = (process(&store, &Server::ok()), process(&store, &server));
    one.layer.handle().pause();
    let mut tasks = JoinSet::new();
    tasks.spawn(send(one.service.clone(), 10));
    tasks.spawn(send(other.service.clone(), 2_000));
    sleep(Duration::from_secs(10)).await;
    let departed = server.calls().len();
    assert!(departed >= 880, "{departed}");
    one.layer.handle().resume();
    let resumed = now();
    tasks.join_next().await.unwrap().unwrap();
    assert!(now() - resumed <= millis(400), "{:?}", now() - resumed);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_canceled_before_its_reply_does_not_make_the_store_away() {
    let (store, server) = (Store::new(), Server::ok());
    let Process { layer, service, .. } = process(&store, &server);
    send(service.clone(), 1).await;
    for _ in 0..20 {
        sleep(millis(700)).await;
        let canceled = service.clone().oneshot(get());
        assert!(tokio::time::timeout(millis(1), canceled).await.is_err());
        assert!(!layer.handle().snapshot().shared.unwrap().is_away);
    }
}
