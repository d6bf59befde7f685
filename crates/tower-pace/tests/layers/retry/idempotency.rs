//! Keys by which a server recognizes a request that it has already processed.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_pace::retry::IdempotencyKeys;
use tower_pace::{RetryLayer, RetryPolicy};

use crate::support::{get, millis, now, on_a_paused_runtime, post, status};

const SEEDS: u64 = 1_000;
const CALLS: u64 = 4;

/// A server that keeps keys: when the request of each is or was processed.
#[derive(Default)]
struct Books {
    done: HashMap<String, Instant>,
    /// The keys of all attempts, by the call that the body names.
    attempts: HashMap<String, Vec<String>>,
    applied: u64,
    conflicts: u64,
}

impl Books {
    /// Processes a request that takes `millis` and may be dropped before, or answers from the
    /// records.
    fn arrive(&mut self, key: &str, is_dropped: bool, time: u64) -> Response<String> {
        match self.done.get(key) {
            Some(&done) if done > now() => {
                self.conflicts += 1;
                status(409)
            }
            Some(_) => status(200),
            None if is_dropped => status(503),
            None => {
                self.applied += 1;
                self.done.insert(key.to_owned(), now() + millis(time));
                status(200)
            }
        }
    }
}

/// Returns a client whose connection is reset at random, before the server read the request, while
/// it processes it, or after.
fn client(
    seed: u64,
    books: &Arc<Mutex<Books>>,
) -> impl Service<Request<String>, Response = Response<String>, Error = io::Error> + Clone {
    let rng = Arc::new(Mutex::new(SmallRng::seed_from_u64(seed)));
    let books = Arc::clone(books);
    service_fn(move |request: Request<String>| {
        let mut rng = rng.lock().unwrap();
        let (fate, time) = (rng.random_range(0..6), rng.random_range(0..2_000));
        let books = Arc::clone(&books);
        async move {
            let key = request.headers()["idempotency-key"].to_str().unwrap();
            let response = {
                let mut books = books.lock().unwrap();
                let attempts = books.attempts.entry(request.body().clone()).or_default();
                attempts.push(key.to_owned());
                match fate {
                    0 => return Err(io::ErrorKind::ConnectionReset.into()),
                    _ => books.arrive(key, fate == 1, time),
                }
            };
            // The reset comes before the server has ended, or after.
            tokio::time::sleep(millis(if fate == 2 { 1 } else { time })).await;
            match fate {
                2 | 3 => Err(io::ErrorKind::ConnectionReset.into()),
                _ => Ok(response),
            }
        }
    })
}

fn keyed(seed: u64, keys: IdempotencyKeys) -> RetryLayer {
    let policy = RetryPolicy::default().attempts(40).without_budget();
    RetryLayer::new(policy).seed(seed).idempotency_keys(keys)
}

#[test]
fn a_key_is_made_once_for_each_call_and_each_call_is_applied_once() {
    let (mut attempts, mut conflicts) = (0, 0);
    for seed in 0..SEEDS {
        on_a_paused_runtime(async {
            let mut bits = SmallRng::seed_from_u64(!seed);
            let keys = IdempotencyKeys::generated_by(move || bits.random());
            let books = Arc::default();
            let stack = keyed(seed, keys).layer(client(seed, &books));
            for call in 0..CALLS {
                let request = post().map(|_| call.to_string());
                let response = stack.clone().oneshot(request).await.unwrap();
                assert_eq!(response.status(), 200, "seed {seed}");
            }
            let books = books.lock().unwrap();
            assert_eq!(books.applied, CALLS, "seed {seed}");
            assert_eq!(
                books.done.len() as u64,
                CALLS,
                "seed {seed}: a key for each call"
            );
            for keys in books.attempts.values() {
                assert!(keys.iter().all(|key| *key == keys[0]), "seed {seed}");
                attempts += keys.len();
            }
            conflicts += books.conflicts;
        });
    }
    // The seeds have met retries and requests in progress.
    assert!(attempts as u64 > SEEDS * CALLS * 3 / 2, "{attempts}");
    assert!(conflicts > SEEDS / 10, "{conflicts}");
}

#[tokio::test(start_paused = true)]
async fn a_key_of_the_caller_stays_and_a_safe_request_gets_none() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seen_by_server = Arc::clone(&seen);
    let client = service_fn(move |request: Request<String>| {
        let key = request.headers().get("idempotency-key").cloned();
        seen_by_server.lock().unwrap().push(key);
        async { Ok::<_, io::Error>(status(200)) }
    });
    let stack = keyed(1, IdempotencyKeys::generated()).layer(client);
    let mut own = post();
    let key = "\"own\"".parse().unwrap();
    own.headers_mut().insert("idempotency-key", key);
    for request in [own, get(), post()] {
        stack.clone().oneshot(request).await.unwrap();
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].as_ref().unwrap(), "\"own\"");
    assert_eq!(seen[1], None);
    assert_eq!(seen[2].as_ref().unwrap().len(), 36);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_its_key_does_not_match_is_returned() {
    let attempts = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&attempts);
    let client = service_fn(move |_: Request<String>| {
        *counted.lock().unwrap() += 1;
        async { Ok::<_, io::Error>(status(422)) }
    });
    let stack = keyed(1, IdempotencyKeys::generated()).layer(client);
    assert_eq!(stack.oneshot(post()).await.unwrap().status(), 422);
    assert_eq!(*attempts.lock().unwrap(), 1);
}
