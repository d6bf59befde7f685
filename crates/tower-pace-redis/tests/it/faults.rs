//! Each fault of a store gives its error, and the store works again soon after its end.

use std::time::Duration;

use pacing::Quota;
use pacing::shared::{Call, SharedQuota};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep, timeout};
use tower_pace::rate::shared::SharedStore;
use tower_pace_redis::{RedisStore, StoreError};

use crate::calls::{call, call_once, named};
use crate::script::{Value, keys};
use crate::server::{Client, Server, free_port};

const PASSWORD: &str = "hunter2-is-secret";

/// Makes calls as the driver does, which drops each after 250 ms, until one succeeds. Returns how
/// long it took.
async fn recovery(store: &RedisStore) -> Duration {
    let start = now();
    loop {
        let call = timeout(Duration::from_millis(250), call_once(store));
        if matches!(call.await, Ok(Ok(_))) {
            return now() - start;
        }
        assert!(now() - start < Duration::from_secs(10), "it never recovers");
        sleep(Duration::from_millis(50)).await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server is another process, which has no paused time"
)]
fn now() -> Instant {
    Instant::now()
}

#[track_caller]
fn assert_message(error: &StoreError, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert!(!text.contains('\n'), "{text}");
}

#[tokio::test]
async fn a_key_of_a_wrong_type_fails_its_quota_only() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = RedisStore::connect(&server.url(), "test").await.unwrap();
    let mut client = server.client();
    let starting = Call {
        quota: SharedQuota::new(&Quota::per_second(100), pacing::Cost::ONE),
        ..call(1, 1)
    };
    for (part, command) in [
        (0, vec!["SET", "KEY", "text"]),
        (0, vec!["HSET", "KEY", "user", "7"]),
        (0, vec!["HSET", "KEY", "version", "2"]),
        (1, vec!["RPUSH", "KEY", "text"]),
        (2, vec!["HSET", "KEY", "a", "b"]),
        (3, vec!["RPUSH", "KEY", "text"]),
    ] {
        client.call(&["FLUSHALL"]);
        let key = keys("test", "wrong")[part].clone();
        let command: Vec<_> = command
            .iter()
            .map(|&word| if word == "KEY" { &key } else { word })
            .collect();
        client.call(&command);
        let before = client.call(&["DUMP", &key]);
        let calls = ["before", "wrong", "after"].map(|name| named(name, starting.clone()));
        let replies = store.call(&calls).await;
        assert!(replies[0].is_ok() && replies[2].is_ok(), "{replies:?}");
        let error = replies[1].as_ref().unwrap_err();
        assert!(error.is_wrong_type(), "{error:?}");
        let port = server.port.to_string();
        assert_message(
            error,
            &["{test:wrong}", "127.0.0.1", &port, "delete the keys"],
        );
        // Nothing was written for this quota, and the data of the other program is there still.
        assert_eq!(client.call(&["DUMP", &key]), before);
        let others = keys("test", "wrong")
            .into_iter()
            .filter(|other| *other != key);
        for other in others {
            let exists = client.call(&["EXISTS", &other]);
            assert_eq!(exists, Value::Integer(0), "{other}");
        }
    }
}

#[tokio::test]
async fn a_read_only_replica_and_a_full_server_are_named() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = RedisStore::connect(&server.url(), "test").await.unwrap();
    let mut client = server.client();
    client.call(&["REPLICAOF", "127.0.0.1", "1"]);
    let error = call_once(&store).await.unwrap_err();
    assert!(error.is_read_only(), "{error:?}");
    assert_message(&error, &["give the URL of the primary"]);
    // The name of the URL may belong to another server by now.
    let connections = |client: &mut Client| match client.call(&["INFO", "stats"]) {
        Value::Text(text) => {
            let lines = text.lines();
            let mut counts =
                lines.filter_map(|line| line.strip_prefix("total_connections_received:"));
            counts.next().unwrap().parse::<u32>().unwrap()
        }
        other => panic!("{other:?}"),
    };
    let before = connections(&mut client);
    call_once(&store).await.unwrap_err();
    assert!(connections(&mut client) > before);
    client.call(&["REPLICAOF", "NO", "ONE"]);
    client.call(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = call_once(&store).await.unwrap_err();
    assert!(error.is_out_of_memory(), "{error:?}");
    client.call(&["CONFIG", "SET", "maxmemory", "0"]);
    call_once(&store).await.unwrap();
}

#[tokio::test]
async fn a_user_without_permission_is_named() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut client = server.client();
    let url = format!("redis://app:{PASSWORD}@127.0.0.1:{}", server.port);
    let mut set_user = |rules: &[&str]| {
        let secret = format!(">{PASSWORD}");
        let user = ["ACL", "SETUSER", "app", "reset", "on", &secret];
        client.call(&[user.as_slice(), rules].concat());
    };
    set_user(&["~*", "+@all", "-evalsha"]);
    let error = RedisStore::connect(&url, "test").await.unwrap_err();
    let error = error.store_error().unwrap();
    assert!(error.is_permission(), "{error:?}");
    assert_message(error, &["evalsha", "allow the user the commands and keys"]);
    // The rule that the docs state is enough, and nothing of it can be left out.
    let rule = include_str!("../../README.md")
        .lines()
        .find(|line| line.starts_with("ACL SETUSER"))
        .unwrap();
    let words = rule.split_whitespace();
    let commands: Vec<&str> = words.filter(|word| word.starts_with('+')).collect();
    assert!(commands.contains(&"+evalsha"), "{rule}");
    set_user(&[&["~{test:*"], commands.as_slice()].concat());
    let store = RedisStore::connect(&url, "test").await.unwrap();
    for index in 0..commands.len() {
        let mut fewer = commands.clone();
        let removed = fewer.remove(index);
        set_user(&[&["~{test:*"], fewer.as_slice()].concat());
        let store = RedisStore::connect(&url, "test").await;
        let result = match &store {
            Ok(store) => {
                // The marker is read and written at the start only.
                server.client().call(&["FLUSHALL"]);
                server.client().call(&["SCRIPT", "FLUSH"]);
                call_once(store).await.map(|_| ())
            }
            Err(error) => Err(error.store_error().unwrap().clone()),
        };
        let error = result.expect_err(removed);
        assert!(error.is_permission(), "{removed}: {error:?}");
    }
    set_user(&[&["~{other:*"], commands.as_slice()].concat());
    sleep(Duration::from_millis(100)).await;
    let error = call_once(&store).await.unwrap_err();
    assert!(
        error.is_permission() || error.is_authentication(),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_wrong_or_missing_password_is_named_and_not_printed() {
    let Some(server) = Server::start_with(&["--requirepass", "another"]) else {
        return;
    };
    for user in ["", ":hunter2-is-secret@", "app:hunter2-is-secret@"] {
        let url = format!("redis://{user}127.0.0.1:{}", server.port);
        let error = RedisStore::connect(&url, "test").await.unwrap_err();
        let store_error = error.store_error().unwrap();
        assert!(store_error.is_authentication(), "{error:?}");
        assert_message(store_error, &["check the user and the password of the URL"]);
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_missing_server_is_named() {
    let url = format!("redis://app:{PASSWORD}@127.0.0.1:{}", free_port());
    let start = now();
    let error = RedisStore::connect(&url, "test").await.unwrap_err();
    assert!(now() - start < Duration::from_secs(2));
    let store_error = error.store_error().unwrap();
    assert!(store_error.is_unreachable() && !store_error.is_timeout());
    assert_message(
        store_error,
        &["refused", "127.0.0.1:", "check that the server runs"],
    );
    assert!(
        !format!("{error} {error:?}").contains("hunter2"),
        "{error:?}"
    );
}

#[tokio::test]
async fn arguments_are_checked() {
    for (url, prefix) in [
        ("redis://:hunter2@host:port", "test"),
        ("http://:hunter2@127.0.0.1", "test"),
        ("hunter2", "test"),
        ("", "test"),
        ("redis://:hunter2@127.0.0.1/x", "test"),
        ("rediss://:hunter2@127.0.0.1#insecure", "test"),
        ("redis://:hunter2@127.0.0.1", ""),
        ("redis://:hunter2@127.0.0.1", "}"),
        ("redis://:hunter2@127.0.0.1", "a\nb"),
    ] {
        let error = RedisStore::connect(url, prefix).await.unwrap_err();
        assert!(error.is_invalid_argument(), "{url}: {error:?}");
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_stopped_server_is_away_for_as_long_as_it_is_stopped() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = RedisStore::connect(&server.url(), "test").await.unwrap();
    call_once(&store).await.unwrap();
    server.signal("STOP");
    let end = now() + Duration::from_secs(1);
    while now() < end {
        let start = now();
        let error = call_once(&store).await.unwrap_err();
        assert!(error.is_unreachable(), "{error:?}");
        // The caller waits for 250 ms at most; the rest is for a busy machine.
        assert!(now() - start < Duration::from_millis(700));
        sleep(Duration::from_millis(50)).await;
    }
    server.signal("CONT");
    let time = recovery(&store).await;
    assert!(time < Duration::from_secs(1), "{time:?}");
}

#[tokio::test]
async fn a_server_that_restarts_empty_is_away_until_then() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let store = RedisStore::connect(&server.url(), "test").await.unwrap();
    call_once(&store).await.unwrap();
    for _ in 0..3 {
        server.kill();
        for _ in 0..5 {
            let error = call_once(&store).await.unwrap_err();
            assert!(error.is_unreachable(), "{error:?}");
            sleep(Duration::from_millis(100)).await;
        }
        server.restart();
        let time = recovery(&store).await;
        assert!(time < Duration::from_secs(1), "{time:?}");
    }
}

#[tokio::test]
async fn after_an_old_snapshot_the_times_go_on_after_the_latest_one() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let store = RedisStore::connect(&server.url(), "test").await.unwrap();
    call_once(&store).await.unwrap();
    server.client().call(&["SAVE"]);
    let mut latest = 0;
    for _ in 0..10 {
        let reply = call_once(&store).await.unwrap();
        latest = reply.departures.last().copied().unwrap_or(latest);
    }
    server.kill();
    server.restart();
    recovery(&store).await;
    let asking = Call {
        latest: now_of(&store).await + 40_000,
        ..call(2, 1)
    };
    let latest = latest.max(asking.latest);
    let interval = asking.quota.limits[0].interval;
    let replies = store.call(&[named("a", asking)]).await;
    let reply = replies[0].as_ref().unwrap();
    assert_eq!(reply.start, 0, "the quota was lost");
    let is_after = |&time: &i64| time >= latest + interval;
    assert!(reply.departures.iter().all(is_after), "{reply:?}");
    assert!(
        reply.departures.len() + usize::from(reply.wait > 0) > 0,
        "{reply:?}"
    );
}

/// Returns the server's time.
async fn now_of(store: &RedisStore) -> i64 {
    let replies = store.call(&[named("other", call(1, 0))]).await;
    replies[0].as_ref().unwrap().now
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_is_replaced_within_the_call() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = RedisStore::connect(&server.url(), "test").await.unwrap();
    for _ in 0..10 {
        server.client().call(&["CLIENT", "KILL", "TYPE", "normal"]);
        sleep(Duration::from_millis(50)).await;
        call_once(&store).await.unwrap();
    }
}

#[test]
fn a_store_outlives_its_runtime() {
    let Some(server) = Server::start() else {
        return;
    };
    let first = Runtime::new().unwrap();
    let store = first.block_on(RedisStore::connect(&server.url(), "test"));
    let store = store.unwrap();
    drop(first);
    for _ in 0..3 {
        let next = Runtime::new().unwrap();
        next.block_on(call_once(&store)).unwrap();
        // A call that is dropped with its runtime may have started an attempt to connect.
        let call = async { timeout(Duration::from_micros(50), call_once(&store)).await };
        let _ = next.block_on(call);
        drop(next);
    }
    let last = Runtime::new().unwrap();
    let time = last.block_on(recovery(&store));
    assert!(time < Duration::from_secs(1), "{time:?}");
}

/// A server that answers as `RedisStore::connect` expects, and then with these bytes.
async fn hostile(reply: Vec<u8>, is_endless: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let reply = reply.clone();
            tokio::spawn(async move { answer(stream, &reply, is_endless).await });
        }
    });
    port
}

async fn answer(mut stream: TcpStream, reply: &[u8], is_endless: bool) -> Option<()> {
    let mut bytes = vec![0; 100_000];
    loop {
        let read = stream
            .read(&mut bytes)
            .await
            .ok()
            .filter(|&read| read > 0)?;
        // The calls of `connect` have no keys.
        let has_keys = bytes[..read].windows(5).any(|window| window == b"{test");
        if !has_keys {
            stream.write_all(b"*0\r\n").await.ok()?;
            continue;
        }
        stream.write_all(reply).await.ok()?;
        if is_endless {
            loop {
                stream.write_all(&bytes).await.ok()?;
            }
        }
    }
}

#[tokio::test]
async fn wrong_replies_are_errors() {
    let numbers = |count: usize, number: &str| {
        let entry = format!(":{number}\r\n").repeat(count);
        format!("*1\r\n*{count}\r\n{entry}")
    };
    let unavailable = |error: &StoreError| error.is_unreachable() || error.is_invalid_reply();
    let is_invalid: fn(&StoreError) -> bool = StoreError::is_invalid_reply;
    let is_other: fn(&StoreError) -> bool = |error| !error.is_unreachable();
    for (reply, is_expected) in [
        ("*0\r\n".into(), is_invalid),
        ("*2\r\n*0\r\n*0\r\n".into(), is_invalid),
        (":1\r\n".into(), is_invalid),
        ("$-1\r\n".into(), is_invalid),
        ("*-1\r\n".into(), is_invalid),
        ("+OK\r\n".into(), is_invalid),
        ("$2\r\nhi\r\n".into(), is_invalid),
        ("*1\r\n:1\r\n".into(), is_invalid),
        ("*1\r\n$-1\r\n".into(), is_invalid),
        ("*1\r\n$2\r\nhi\r\n".into(), is_other),
        (numbers(7, "1"), is_invalid),
        (numbers(8, "-1"), is_invalid),
        (numbers(8, "9223372036854775807"), is_invalid),
        (numbers(8, "9223372036854775808"), is_invalid),
        (numbers(2_000, "1"), is_invalid),
        ("*1\r\n".repeat(200), is_invalid),
        (
            "*1\r\n*8\r\n".to_owned() + &"$1\r\n1\r\n".repeat(8),
            is_invalid,
        ),
        ("HTTP/1.1 400 Bad Request\r\n\r\n".into(), is_invalid),
        ("-ERR unknown command\r\n".into(), is_other),
        ("-MOVED 7 10.0.0.1:6379\r\n".into(), StoreError::is_cluster),
        ("-LOADING the dataset\r\n".into(), StoreError::is_busy),
        ("-\r\n".into(), is_other),
        ("*1\r\n-WRONGTYPE no\r\n".into(), is_invalid),
    ] {
        let port = hostile(reply.clone().into_bytes(), false).await;
        let url = format!("redis://127.0.0.1:{port}");
        let store = RedisStore::connect(&url, "test").await.unwrap();
        let error = call_once(&store).await.expect_err(&reply);
        assert!(is_expected(&error), "{reply:?}: {error:?}");
        assert_message(&error, &["127.0.0.1", "{test:a}"]);
        assert!(error.to_string().len() < 1_000, "{error}");
        // The next call gets an error as well, and no reply to this one.
        call_once(&store).await.expect_err(&reply);
    }
    for reply in ["*1000000000000\r\n", "$1000000000000\r\n", "*1\r\n*100\r\n"] {
        let port = hostile(reply.into(), false).await;
        let url = format!("redis://127.0.0.1:{port}");
        let store = RedisStore::connect(&url, "test").await.unwrap();
        let error = call_once(&store).await.expect_err(reply);
        assert!(unavailable(&error), "{reply:?}: {error:?}");
    }
}

/// A hostile server could otherwise fill the memory, a gigabyte each second.
#[tokio::test]
async fn an_endless_reply_ends_after_some_megabytes() {
    let port = hostile(b"$1000000000000\r\n".to_vec(), true).await;
    let url = format!("redis://127.0.0.1:{port}");
    let store = RedisStore::connect(&url, "test").await.unwrap();
    for _ in 0..3 {
        let error = call_once(&store).await.unwrap_err();
        assert!(error.is_invalid_reply(), "{error:?}");
        assert_message(&error, &["too long"]);
    }
}

/// A server repeats the arguments of a command that it does not know.
#[tokio::test]
async fn the_password_is_in_no_output() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 1_000];
        let _ = stream.read(&mut bytes).await.unwrap();
        let reply = format!("-ERR unknown command 'AUTH', with args: '{PASSWORD}'\r\n");
        stream.write_all(reply.as_bytes()).await.unwrap();
        sleep(Duration::from_secs(10)).await;
    });
    let url = format!("redis://:{PASSWORD}@127.0.0.1:{port}");
    let error = RedisStore::connect(&url, "test").await.unwrap_err();
    assert!(error.store_error().unwrap().is_authentication());
    assert!(
        !format!("{error} {error:?}").contains("hunter2"),
        "{error:?}"
    );
    let Some(server) = Server::start() else {
        return;
    };
    let secret = format!(">{PASSWORD}");
    let user = ["ACL", "SETUSER", "app", "on", &secret, "~*", "+@all"];
    server.client().call(&user);
    let url = format!("redis://app:{PASSWORD}@127.0.0.1:{}", server.port);
    let store = RedisStore::connect(&url, "test").await.unwrap();
    let mut outputs = format!("{store:?} {store:#?}");
    drop(server);
    for _ in 0..3 {
        let error = call_once(&store).await.unwrap_err();
        outputs += &format!("{error} {error:?} {error:#?}");
    }
    assert!(!outputs.contains("hunter2"), "{outputs}");
}
