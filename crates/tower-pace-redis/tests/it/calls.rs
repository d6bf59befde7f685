//! Calls of the store to a server that works, with the server's own clock.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use pacing::shared::{Call, HORIZON, Reply, SharedQuota, Throttled};
use pacing::{Cost, Quota};
use tower_pace::rate::shared::{NamedCall, SharedStore};
use tower_pace_redis::{RedisStore, StoreError};

use crate::script::{Value, keys};
use crate::server::Server;

/// Returns a call of this process for `count` departure times.
pub(crate) fn call(process: u64, count: u32) -> Call {
    Call {
        process,
        count,
        cost: 1,
        quota: SharedQuota::new(&Quota::per_second(100).unused_at_start(), Cost::ONE),
        latest: 0,
        is_away: false,
        throttled: None,
        accepted: 0,
    }
}

pub(crate) fn named(name: &str, call: Call) -> NamedCall {
    NamedCall::new(name.into(), call)
}

/// Calls for two departure times of the quota `a`.
pub(crate) async fn call_once(store: &RedisStore) -> Result<Reply, StoreError> {
    let mut replies = store.call(&[named("a", call(1, 2))]).await;
    assert_eq!(replies.len(), 1);
    replies.remove(0)
}

#[tokio::test]
async fn two_processes_get_different_times_at_the_interval_of_the_quota() {
    let Some(server) = Server::start() else {
        return;
    };
    let one = RedisStore::connect(&server.url(), "test").await.unwrap();
    let two = RedisStore::connect(&server.url(), "test").await.unwrap();
    let mut times = BTreeSet::new();
    let mut handed_out = 0;
    let mut last = 0;
    while handed_out < 150 {
        for (store, process) in [(&one, 1), (&two, u64::MAX)] {
            let replies = store.call(&[named("a", call(process, 3))]).await;
            let reply = replies[0].as_ref().unwrap();
            assert!(reply.now >= last, "the clock goes back");
            last = reply.now;
            let is_near = |time: &i64| (reply.now..=reply.now + HORIZON).contains(time);
            assert!(reply.departures.iter().all(is_near), "{reply:?}");
            assert!(reply.departures.len() <= 3, "{reply:?}");
            handed_out += reply.departures.len();
            times.extend(&reply.departures);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(times.len(), handed_out, "a time was handed out twice");
    let interval = call(1, 1).quota.limits[0].interval;
    let times: Vec<i64> = times.into_iter().collect();
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] >= interval, "{pair:?}");
    }
    let replies = one.call(&[named("a", call(1, 0))]).await;
    assert_eq!(replies[0].as_ref().unwrap().processes, 2);
}

#[tokio::test]
async fn one_call_serves_many_quotas_in_order() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = RedisStore::connect(&server.url(), "test").await.unwrap();
    assert_eq!(store.call(&[]).await, []);
    let calls: Vec<_> = (0..300_u32)
        .map(|index| named(&index.to_string(), call(7, index % 3)))
        .collect();
    let replies = store.call(&calls).await;
    assert_eq!(replies.len(), 300);
    for (index, reply) in replies.iter().enumerate() {
        let reply = reply.as_ref().unwrap();
        assert_eq!(reply.departures.len(), index % 3, "{index}: {reply:?}");
    }
}

#[tokio::test]
async fn a_throttled_request_closes_the_gate_of_all_processes() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = RedisStore::connect(&server.url(), "test").await.unwrap();
    let now = call_once(&store).await.unwrap().now;
    let throttled = Call {
        throttled: Some(Throttled {
            sent: now,
            retry_after: 2_000_000,
        }),
        ..call(1, 1)
    };
    let replies = store.call(&[named("a", throttled)]).await;
    let closed = replies[0].as_ref().unwrap();
    assert_eq!(closed.open_from, closed.now + 2_000_000);
    let replies = store.call(&[named("a", call(2, 1))]).await;
    let other = replies[0].as_ref().unwrap();
    assert_eq!(other.open_from, closed.open_from);
    assert!(other.departures.is_empty() && other.wait > 0, "{other:?}");
}

#[tokio::test]
async fn all_keys_but_the_marker_expire() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = RedisStore::connect(&server.url(), "test").await.unwrap();
    // It is busy: there are fewer departure times than it asks for.
    store.call(&[named("a", call(1, 50))]).await[0]
        .as_ref()
        .unwrap();
    let mut client = server.client();
    let lifetime = pacing::shared::Record::lifetime(&call(1, 50)) / 1_000;
    let [record, running, busy, known] = keys("test", "a");
    for key in [record, running, busy] {
        let Value::Integer(left) = client.call(&["PTTL", &key]) else {
            panic!("{key} is missing");
        };
        assert!(
            (lifetime - 5_000..=lifetime + 1).contains(&left),
            "{key}: {left} of {lifetime}"
        );
    }
    assert_eq!(client.call(&["TTL", &known]), Value::Integer(-1));
    assert_eq!(client.call(&["DBSIZE"]), Value::Integer(4));
}

/// A process with a short window must not end the memory of a longer one.
#[tokio::test]
async fn the_longest_lifetime_that_a_process_stated_holds() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = RedisStore::connect(&server.url(), "test").await.unwrap();
    let lasting = Call {
        quota: SharedQuota::new(&Quota::per_hour(1_000), Cost::ONE),
        ..call(1, 1)
    };
    let short = Call {
        quota: SharedQuota {
            longest_pause: 2_000_000,
            ..call(2, 1).quota
        },
        ..call(2, 1)
    };
    let lifetime = pacing::shared::Record::lifetime(&lasting) / 1_000;
    for call in [lasting, short] {
        store.call(&[named("a", call)]).await[0].as_ref().unwrap();
    }
    let [record, ..] = keys("test", "a");
    let Value::Integer(left) = server.client().call(&["PTTL", &record]) else {
        panic!("the record is missing");
    };
    assert!(left > lifetime - 5_000, "{left} of {lifetime}");
}

#[tokio::test]
async fn an_idle_quota_starts_at_once_and_a_lost_one_waits_for_a_window() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = RedisStore::connect(&server.url(), "test").await.unwrap();
    let calls = [named(
        "a",
        Call {
            quota: SharedQuota::new(&Quota::per_second(100), Cost::ONE),
            ..call(1, 1)
        },
    )];
    let [record, running, busy, _] = keys("test", "a");
    for (command, is_lost) in [
        (vec!["FLUSHALL"], true),
        (vec!["DEL", &record, &running, &busy], false),
    ] {
        server.client().call(&command);
        let replies = store.call(&calls).await;
        let reply = replies[0].as_ref().unwrap();
        assert_eq!(reply.start > 900_000, is_lost, "{command:?}: {reply:?}");
        assert_eq!(
            reply.departures.is_empty(),
            is_lost,
            "{command:?}: {reply:?}"
        );
    }
}

#[tokio::test]
async fn the_script_is_loaded_again_after_a_flush() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = RedisStore::connect(&server.url(), "test").await.unwrap();
    for _ in 0..3 {
        server.client().call(&["SCRIPT", "FLUSH"]);
        call_once(&store).await.unwrap();
    }
}

#[tokio::test]
async fn the_url_names_the_database_and_the_user() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut client = server.client();
    client.call(&[
        "ACL",
        "SETUSER",
        "app",
        "on",
        ">pa ss/w:rd",
        "~{test:*",
        "+@all",
    ]);
    let url = format!("redis://app:pa%20ss%2Fw%3Ard@127.0.0.1:{}/3", server.port);
    let store = RedisStore::connect(&url, "test").await.unwrap();
    call_once(&store).await.unwrap();
    assert_eq!(client.call(&["DBSIZE"]), Value::Integer(0));
    client.call(&["SELECT", "3"]);
    assert_eq!(client.call(&["DBSIZE"]), Value::Integer(3));
}

#[tokio::test]
async fn round_trips_are_measured() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = RedisStore::connect(&server.url(), "test").await.unwrap();
    let round_trip = SharedStore::round_trip(&store);
    assert!(round_trip > Duration::ZERO && round_trip < Duration::from_millis(240));
}

/// Calls that are dropped at any time leave their replies behind.
#[tokio::test]
async fn a_dropped_call_does_not_change_the_reply_to_the_next_one() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = RedisStore::connect(&server.url(), "test").await.unwrap();
    for index in 0..2_000_u64 {
        let unwanted = [named("a", call(1, 3)), named("b", call(1, 3))];
        drop_after(index % 4, store.call(&unwanted)).await;
        let name = format!("c {index}");
        let replies = store.call(&[named(&name, call(index, 1))]).await;
        assert_eq!(replies.len(), 1);
        let reply = replies[0].as_ref().unwrap();
        // It is the only process of its quota, and gets the first time.
        assert_eq!(
            (reply.processes, reply.departures.len()),
            (1, 1),
            "{reply:?}"
        );
        assert_eq!(reply.departures, [reply.now]);
    }
}

/// Polls a future once, gives other tasks this many turns, and drops it: a reply that has come
/// meanwhile is read by none.
async fn drop_after(turns: u64, future: impl Future) {
    let mut future = pin!(future);
    let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await;
    assert!(polled, "no call is answered at once");
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// The figures of the docs.
#[tokio::test]
async fn a_quota_and_a_process_take_the_memory_that_the_docs_state() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = RedisStore::connect(&server.url(), "test").await.unwrap();
    let mut client = server.client();
    let mut bytes = |name: &str| -> i64 {
        // By default the server measures five entries and takes them for all.
        let mut usage = |key: &str| client.call(&["MEMORY", "USAGE", key, "SAMPLES", "0"]);
        let keys = keys("test", name).map(|key| usage(&key));
        let bytes = keys.iter().map(|usage| match usage {
            Value::Integer(bytes) => *bytes,
            _ => 0,
        });
        bytes.sum()
    };
    for (processes, most_per_process) in [(8, 90), (1_000, 260)] {
        let name = format!("of {processes}");
        let mut first = 0;
        for process in 0..processes {
            // All of them are busy.
            let id = u64::MAX - process;
            store.call(&[named(&name, call(id, 50))]).await[0]
                .as_ref()
                .unwrap();
            if process == 0 {
                first = bytes(&name);
            }
        }
        let each = (bytes(&name) - first) / i64::try_from(processes - 1).unwrap();
        println!("{processes} processes: {first} bytes, and {each} for each");
        assert!(first < 1_000, "{first}");
        assert!(each <= most_per_process, "{each}");
    }
}
