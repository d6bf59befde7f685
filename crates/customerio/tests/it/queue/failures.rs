//! What the queue does with operations that fail.

use std::time::Duration;

use customerio::Operation;
use customerio::queue::HeldBy;
use tokio::time::sleep;

use super::api::{Api, End, Reply, op};
use crate::support::{person, shown};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_rejected_operation_takes_no_other_with_it() {
    let api = Api::new(|ops| match ops.iter().any(|op| op.number == 7) {
        true => Reply::of(400, r#"{"errors":[{"message":"no"}]}"#),
        false => Reply::ok(),
    });
    let queue = api.queue();
    let mut receipts = Vec::new();
    for number in 0..20 {
        let receipt = queue
            .enqueue(op(&number.to_string(), number))
            .await
            .unwrap();
        receipts.push(receipt);
    }
    for (number, receipt) in receipts.into_iter().enumerate() {
        assert_eq!(receipt.await.is_accepted(), number != 7, "{number}");
    }
    assert_eq!(queue.stats().rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_makes_the_server_fail_is_found_while_others_succeed() {
    let api = Api::new(|ops| match ops.iter().any(|op| op.person == "bad") {
        true => Reply::of(500, ""),
        false => Reply::ok(),
    });
    let queue = api.queue_with(|queue| queue.batch(50));
    let mut receipts = Vec::new();
    for number in 0..500 {
        let id = if number == 123 {
            "bad".to_owned()
        } else {
            number.to_string()
        };
        receipts.push(queue.enqueue(op(&id, number)).await.unwrap());
    }
    let behind = queue.enqueue(op("bad", 500)).await.unwrap();
    for (number, receipt) in receipts.into_iter().enumerate() {
        let outcome = receipt.await;
        assert_eq!(
            outcome.is_accepted(),
            number != 123,
            "{number}: {outcome:?}"
        );
        assert_eq!(outcome.is_unknown(), number == 123, "{number}: {outcome:?}");
    }
    let outcome = behind.await;
    assert!(!outcome.is_accepted(), "{outcome:?}");
    assert_eq!(queue.stats().held_by, HeldBy::Nothing);
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_an_unknown_outcome_is_not_sent_and_what_comes_later_is() {
    let api = Api::replies([Reply::ok(), Reply::end(End::Reset).applied().after(SECOND)]);
    let queue = api.queue_with(|queue| queue.batch(1));
    queue.enqueue(op("c", 1)).await.unwrap().await;
    let merge = Operation::merge(&person("a"), &person("b")).unwrap();
    let merge = queue.enqueue(merge).await.unwrap();
    let behind = queue.enqueue(op("a", 2)).await.unwrap();
    let behind_the_other = queue.enqueue(op("b", 3)).await.unwrap();
    let another = queue.enqueue(op("c", 4)).await.unwrap();
    let outcomes = [merge.await, behind.await, behind_the_other.await];
    assert_eq!(shown(&outcomes), "unknown not_sent not_sent");
    assert!(outcomes[1].cause().unwrap().is_withheld());
    assert!(another.await.is_accepted());
    for id in ["a", "b"] {
        let later = queue.enqueue(op(id, 5)).await.unwrap();
        assert!(later.await.is_accepted());
    }
}

#[tokio::test(start_paused = true)]
async fn rejected_credentials_pause_the_queue_and_it_probes_once_a_minute() {
    let started = crate::scripted_service::now();
    let api = Api::new(move |_| {
        let passed = crate::scripted_service::now() - started;
        match passed < SECOND * 400 {
            true => Reply::of(401, "{}"),
            false => Reply::ok(),
        }
    });
    let queue = api.queue_with(|queue| queue.batch(10));
    let mut receipts = Vec::new();
    for number in 0..200 {
        receipts.push(
            queue
                .enqueue(op(&(number % 50).to_string(), number))
                .await
                .unwrap(),
        );
    }
    sleep(SECOND * 30).await;
    let first = api.requests();
    assert!(first <= 10);
    assert_eq!(queue.stats().held_by, HeldBy::Blocked);
    sleep(SECOND * 360).await;
    let probes = api.requests() - first;
    assert!((5..=6).contains(&probes), "{probes}");
    for receipt in receipts {
        assert!(receipt.await.is_accepted());
    }
    for (id, numbers) in api.applied() {
        assert!(numbers.is_sorted(), "{id}: {numbers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn resume_probes_at_once_after_the_credentials_were_changed() {
    let api = Api::replies([Reply::of(403, "{}")]);
    let queue = api.queue();
    let receipt = queue.enqueue(op("a", 1)).await.unwrap();
    sleep(SECOND).await;
    queue.resume();
    let outcome = tokio::time::timeout(SECOND, receipt).await.unwrap();
    assert!(outcome.is_accepted());
}

#[tokio::test(start_paused = true)]
async fn a_page_of_a_proxy_is_an_outage_and_no_acceptance() {
    let page = || Reply::of(200, "<html>Log in</html>");
    let api = Api::replies((0..40).map(|_| page()));
    let queue = api.queue_with(|queue| queue.batch(10));
    let mut receipts = Vec::new();
    for number in 0..100 {
        receipts.push(
            queue
                .enqueue(op(&number.to_string(), number))
                .await
                .unwrap(),
        );
    }
    sleep(SECOND * 5).await;
    assert_eq!(queue.stats().held_by, HeldBy::Outage);
    for receipt in receipts {
        assert!(receipt.await.is_accepted());
    }
}

#[tokio::test(start_paused = true)]
async fn one_operation_with_a_strange_response_does_not_hold_the_others() {
    let api = Api::new(|ops| match ops.iter().any(|op| op.person == "odd") {
        true => Reply::of(200, "thanks"),
        false => Reply::ok(),
    });
    let queue = api.queue_with(|queue| queue.batch(10));
    let odd = queue.enqueue(op("odd", 0)).await.unwrap();
    let mut receipts = Vec::new();
    for number in 0..300 {
        receipts.push(
            queue
                .enqueue(op(&number.to_string(), number))
                .await
                .unwrap(),
        );
        sleep(SECOND / 10).await;
    }
    for receipt in receipts {
        assert!(receipt.await.is_accepted());
    }
    assert_eq!(shown(&[odd.await]), "unknown");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_response_stops_every_request_until_its_time() {
    let api = Api::replies([Reply::end(End::Throttle(30))]);
    let queue = api.queue_with(|queue| queue.batch(10));
    let mut receipts = Vec::new();
    for number in 0..100 {
        receipts.push(
            queue
                .enqueue(op(&number.to_string(), number))
                .await
                .unwrap(),
        );
    }
    for receipt in receipts {
        assert!(receipt.await.is_accepted());
    }
    let early = |seen: &&super::api::Seen| seen.at > SECOND && seen.at < SECOND * 30;
    assert_eq!(api.seen().iter().filter(early).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_person_takes_one_request_and_the_others_go_on() {
    // Seconds until 1,000 operations of others are accepted, with and without a stalled person.
    async fn others(stalls: bool) -> f64 {
        let api = Api::new(|ops| match ops.iter().any(|op| op.person == "slow") {
            true => Reply::end(End::Hang),
            false => Reply::ok().after(SECOND),
        });
        let queue = api.queue_with(|queue| queue.batch(10).concurrency(10));
        if stalls {
            queue.enqueue(op("slow", 0)).await.unwrap();
            sleep(SECOND).await;
            // It stays behind the one in flight, and takes no place in another request.
            queue.enqueue(op("slow", 1)).await.unwrap();
        }
        let started = crate::scripted_service::now();
        let mut receipts = Vec::new();
        for number in 0..1_000 {
            let id = (number % 500).to_string();
            receipts.push(queue.enqueue(op(&id, number)).await.unwrap());
        }
        for receipt in receipts {
            assert!(receipt.await.is_accepted());
        }
        (crate::scripted_service::now() - started).as_secs_f64()
    }
    let (alone, beside) = (others(false).await, others(true).await);
    println!("1,000 operations: {alone:.1} s alone, {beside:.1} s beside a stalled person");
    // Nine of ten requests are left, and a round of requests takes a second.
    assert!(beside <= alone / 0.9 + 1.0, "{beside} after {alone}");
}
