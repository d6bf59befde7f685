//! A simulated Customer.io inside this process, with the limit that the run keeps.

use anyhow::{Context, Result};
use customerio::client::Quota;
use customerio_sim::{Limit, Model, Server, Simulator};

/// Starts a simulator on the loopback, which serves until it is dropped and takes any credentials.
/// It counts by a sliding counter, the hardest model to keep.
pub(crate) async fn start(quota: Quota) -> Result<Server> {
    let limit = Limit::new(quota.limit(), quota.window())?.model(Model::SlidingCounter);
    let simulator = Simulator::builder().limit(limit).build();
    Server::bind("127.0.0.1:0", simulator)
        .await
        .context("the simulator cannot listen on 127.0.0.1")
}
