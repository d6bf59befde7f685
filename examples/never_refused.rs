//! A saturated client against a server that counts, four ways, over the loopback and in real time.
//!
//! Run it with `cargo run --release --example never_refused`, or with `-- 30` at the end for 30 s
//! each instead of 3. Whatever the machine does meanwhile, nothing is refused. How much of the
//! limit is used depends on the machine: on an idle one it is what the docs of `pacing` say.

use std::error::Error;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use customerio_sim::{Limit, Model as Counting, Server, Simulator};
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

fn limited(quota: Quota) -> Limited {
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

/// Sends without a pause.
async fn call_again_and_again(client: Limited, url: String) -> Result<(), Failure> {
    loop {
        send(client.clone(), url.clone()).await?;
    }
}

/// Returns how many requests the server took and how many it refused, in so much time after the
/// start is over.
async fn measure(quota: Quota, counting: Counting, time: Duration) -> Result<(u64, u64), Failure> {
    let limit = Limit::per_second(LIMIT).model(counting);
    let simulator = Simulator::builder().limit(limit).build();
    let server = Server::bind("127.0.0.1:0", simulator.clone()).await?;
    let client = limited(quota);

    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(call_again_and_again(client.clone(), server.url()));
    }
    sleep(Duration::from_secs(2)).await;
    let before = simulator.totals().requests;
    if let Ok(Some(ended)) = timeout(time, callers.join_next()).await {
        ended??;
    }
    let books = simulator.totals();
    Ok((books.requests - before, books.throttled))
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
        (Model::Unknown, Counting::SlidingCounter),
        (Model::SlidingLog, Counting::SlidingLog),
        (Model::FixedWindow, Counting::FixedWindow),
        (bucket, Counting::TokenBucket { size }),
    ];
    for (model, counting) in pairs {
        let quota = Quota::per_second(LIMIT).model(model)?;
        let time = Duration::from_secs(seconds);
        let (taken, refused) = measure(quota, counting, time).await?;
        let used = taken as f64 / (seconds as f64 * f64::from(LIMIT)) * 100.0;
        println!("{model:?} before {counting:?}: {refused} refused, {used:.1} % of the limit used");
        assert_eq!(refused, 0, "{model:?} before {counting:?}");
    }
    Ok(())
}
