//! The cost of a request is corrected when its response shows what it took.

use tower::{Layer, ServiceExt};
use tower_pace::{Charged, Cost, Model, Quota, RateLimitLayer};

use crate::support::{Server, get, millis, now, status};

fn log() -> Quota {
    Quota::per_second(100).model(Model::SlidingLog).unwrap()
}

fn costing(units: u32) -> http::Request<String> {
    let mut request = get();
    request.extensions_mut().insert(Cost::of(units));
    request
}

/// Sends a request of cost 40 and returns its charge, with the layer.
async fn charged(code: u16) -> (RateLimitLayer, Option<Charged>) {
    let layer = RateLimitLayer::new(log());
    let server = Server::new(millis(1), move |_| status(code));
    let service = layer.layer(server);
    let response = service.oneshot(costing(40)).await.unwrap();
    let charged = response.extensions().get().cloned();
    (layer, charged)
}

#[tokio::test(start_paused = true)]
async fn a_lower_cost_releases_the_difference_and_a_higher_one_takes_it() {
    let (layer, charged) = charged(200).await;
    let charged = charged.unwrap();
    let counted = || layer.handle().snapshot().counted;
    assert_eq!((charged.cost(), counted()), (Cost::of(40), 40));
    charged.settle(Cost::of(3));
    assert_eq!((charged.cost(), counted()), (Cost::of(3), 3));
    let clone = charged.clone();
    clone.settle(Cost::of(90));
    assert_eq!((charged.cost(), counted()), (Cost::of(90), 90));
    assert!(format!("{charged:?}").contains("90"));
}

#[tokio::test(start_paused = true)]
async fn only_the_servers_own_response_to_a_request_with_a_cost_is_charged() {
    for (code, is_charged) in [
        (200, true),
        (429, true),
        (500, true),
        (503, false),
        (504, false),
    ] {
        assert_eq!(charged(code).await.1.is_some(), is_charged, "{code}");
    }
    let service = RateLimitLayer::new(log()).layer(Server::ok());
    let response = service.clone().oneshot(get()).await.unwrap();
    assert!(response.extensions().get::<Charged>().is_none());
    let response = service.oneshot(costing(1)).await.unwrap();
    assert!(response.extensions().get::<Charged>().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_waiter_departs_as_soon_as_a_lower_cost_lets_it() {
    let (layer, charged) = charged(200).await;
    let settled = now() + millis(30);
    let waiter = tokio::spawn(layer.layer(Server::ok()).oneshot(costing(20)));
    tokio::time::sleep_until(settled).await;
    assert!(!waiter.is_finished());
    charged.unwrap().settle(Cost::ONE);
    waiter.await.unwrap().unwrap();
    assert_eq!(now(), settled);
}

#[tokio::test(start_paused = true)]
async fn a_charge_outlives_its_limit() {
    let (layer, charged) = charged(200).await;
    drop(layer);
    let charged = charged.unwrap();
    charged.settle(Cost::ONE);
    assert_eq!(charged.cost(), Cost::ONE);
}
