//! A saturated client against servers of four models, over the loopback and in real time.
//!
//! Run it with `cargo run --release --example never_throttled`. It measures each server for 3 s; a
//! number at the end, such as `-- 30`, sets another time in seconds. No request is throttled on any
//! machine. The used part of the limit depends on the machine: on an idle one it is the figure in
//! the docs of `pacing`.

use std::error::Error;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use customerio_sim::{Limit, Model as ServerModel, Server, Simulator};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::{Layer, ServiceExt};
use tower_pace::{Model, Quota, RateLimit, RateLimitLayer};

type Limited = RateLimit<Client<HttpConnector, Full<Bytes>>>;
type Failure = Box<dyn Error + Send + Sync>;

const LIMIT: u32 = 100;
const CALLERS: usize = 64;

fn rate_limited(quota: Quota) -> Limited {
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build_http();
    RateLimitLayer::new(quota).layer(client)
}

async fn send(client: Limited, url: String) -> Result<StatusCode, Failure> {
    let request = Request::put(format!("{url}/api/v1/customers/1"))
        .header("authorization", "Basic c2l0ZTprZXk=")
        .header("content-type", "application/json")
        .body(Full::from(r#"{"plan":"pro"}"#))?;
    let response = client.oneshot(request).await?;
    let status = response.status();
    response.into_body().collect().await?;
    Ok(status)
}

/// Sends one request after the other, until one fails.
async fn send_forever(client: Limited, url: String) -> Result<(), Failure> {
    loop {
        send(client.clone(), url.clone()).await?;
    }
}

/// Returns the number of requests that reached the counter within `time`, and the number of all
/// throttled ones. `time` begins after two seconds, when the start-up is over.
async fn measure(
    quota: Quota,
    server_model: ServerModel,
    time: Duration,
) -> Result<(u64, u64), Failure> {
    let limit = Limit::per_second(LIMIT).model(server_model);
    let simulator = Simulator::builder().limit(limit).build();
    let server = Server::bind("127.0.0.1:0", simulator.clone()).await?;
    let client = rate_limited(quota);

    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(send_forever(client.clone(), server.url()));
    }
    sleep(Duration::from_secs(2)).await;
    let before = simulator.totals().requests;
    if let Ok(Some(ended)) = timeout(time, callers.join_next()).await {
        ended??;
    }
    let totals = simulator.totals();
    Ok((totals.requests - before, totals.throttled))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let seconds = std::env::args().nth(1).map_or(Ok(3), |text| text.parse())?;
    let size = NonZeroU32::new(LIMIT).ok_or("the limit is not zero")?;
    let bucket = Model::TokenBucket {
        size: LIMIT,
        refill: LIMIT,
    };
    let pairs = [
        (Model::Unknown, ServerModel::SlidingCounter),
        (Model::SlidingLog, ServerModel::SlidingLog),
        (Model::FixedWindow, ServerModel::FixedWindow),
        (bucket, ServerModel::TokenBucket { size }),
    ];
    for (model, server_model) in pairs {
        let quota = Quota::per_second(LIMIT).model(model)?;
        let time = Duration::from_secs(seconds);
        let (counted, throttled) = measure(quota, server_model, time).await?;
        let used = counted as f64 / (seconds as f64 * f64::from(LIMIT)) * 100.0;
        println!(
            "{model:?} against {server_model:?}: {throttled} throttled, {used:.1} % of the limit used"
        );
        assert_eq!(throttled, 0, "{model:?} against {server_model:?}");
    }
    Ok(())
}
