use bytes::Bytes;
use http::{Method, Response};
use serde::Deserialize;

use super::request::{Success, V1Request};
use crate::{Region, Request};

const REGION: &str = "/api/v1/accounts/region";

/// Asks for the region of the account, which also checks the credentials.
///
/// The hosts of both regions answer. [`Account::from_response`] reads the response.
#[must_use]
pub fn region() -> Request {
    let request = V1Request {
        method: Method::GET,
        route: REGION,
        path: REGION.to_owned(),
        body: None,
        may_replay: true,
        success: Success::Object,
    };
    request.into()
}

/// The region and the workspace of an account.
///
/// ```
/// use customerio::{Region, v1::Account};
/// let body = r#"{"url": "https://track-eu.customer.io", "region": "eu", "environment_id": 42}"#;
/// let account = Account::from_response(&http::Response::new(body.into())).unwrap();
/// assert_eq!((account.region, account.environment_id), (Region::Eu, Some(42)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Account {
    /// The region to send to.
    pub region: Region,
    /// The number of the workspace, if the response has it.
    pub environment_id: Option<u64>,
}

#[derive(Deserialize)]
struct Body {
    region: String,
    environment_id: Option<u64>,
}

impl Account {
    /// Reads the response to [`region`]. Returns `None` if it is not in that format.
    #[must_use]
    pub fn from_response(response: &Response<Bytes>) -> Option<Self> {
        // The body of an error does not describe the account, whatever members it has.
        if !response.status().is_success() {
            return None;
        }
        let body: Body = serde_json::from_slice(response.body()).ok()?;
        Some(Self {
            region: body.region.parse().ok()?,
            environment_id: body.environment_id,
        })
    }
}
