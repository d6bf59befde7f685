use std::time::{Duration, SystemTime};

use customerio_sim::{Builder, Limit, Model, Simulator};

use crate::client::Client;

fn limited(limit: &str) -> Builder {
    Simulator::builder().limit(Limit::parse(limit).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_throttled_request_gets_429_with_retry_after() {
    let simulator = limited("1/1500ms").build();
    let mut client = Client::pipe(&simulator).await;
    assert_eq!(client.put("1").await.status, 200);
    let throttled = client.put("2").await;
    assert_eq!(
        (throttled.status.as_u16(), throttled.header("retry-after")),
        (429, Some("2"))
    );
    assert_eq!(
        throttled.json()["errors"][0]["detail"],
        "rate limited to 1 requests per 1.5s"
    );
    tokio::time::advance(Duration::from_millis(1_500)).await;
    assert_eq!(client.put("2").await.status, 200);
    let totals = simulator.totals();
    assert_eq!(
        (
            totals.requests,
            totals.throttled,
            totals.accepted,
            totals.people
        ),
        (3, 1, 2, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn retry_after_can_be_left_out() {
    let mut client = Client::pipe(&limited("1/1s").omit_retry_after().build()).await;
    client.put("1").await;
    assert_eq!(client.put("2").await.header("retry-after"), None);
}

#[tokio::test(start_paused = true)]
async fn the_window_slides_on_virtual_time() {
    let simulator = limited("10/1s").build();
    let mut client = Client::pipe(&simulator).await;
    for _ in 0..50 {
        client.put("1").await;
        tokio::time::advance(Duration::from_millis(50)).await;
    }
    let totals = simulator.totals();
    // 2.5 s at twice the limit admit ten in each of two windows and ten in the half window after.
    assert_eq!(
        (totals.throttled, totals.accepted, totals.busiest_window),
        (20, 30, 20)
    );
}

#[tokio::test(start_paused = true)]
async fn the_api_counts_by_the_chosen_model() {
    for (model, status) in [
        (Model::SlidingLog, 429),
        (Model::SlidingCounter, 429),
        (Model::FixedWindow, 200),
    ] {
        let simulator = Simulator::builder()
            .limit(Limit::per_second(2).model(model))
            .build();
        let mut client = Client::pipe(&simulator).await;
        tokio::time::advance(Duration::from_millis(990)).await;
        for _ in 0..2 {
            assert_eq!(client.put("1").await.status, 200);
        }
        tokio::time::advance(Duration::from_millis(20)).await;
        assert_eq!(client.put("1").await.status, status, "{model:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_date_header_follows_the_simulated_clock() {
    let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let mut client = Client::pipe(&Simulator::builder().epoch(epoch).build()).await;
    assert_eq!(
        client.put("1").await.header("date"),
        Some("Sun, 06 Nov 1994 08:49:37 GMT")
    );
    tokio::time::advance(Duration::from_secs(23)).await;
    assert_eq!(
        client.put("1").await.header("date"),
        Some("Sun, 06 Nov 1994 08:50:00 GMT")
    );
}
