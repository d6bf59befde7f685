use bytes::Bytes;
use http::{Method, Response};
use serde::Deserialize;

use super::request::{Success, V1Request};
use crate::{Region, Request};

const REGION: &str = "/api/v1/accounts/region";

/// Asks for the region of the account, and so whether the credentials are right.
///
/// Either region's host answers. [`Account::from_response`] reads what it says.
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

/// Says where an account is held.
///
/// ```
/// use customerio::{Region, v1::Account};
/// let body = r#"{"url": "track-eu.customer.io", "region": "eu", "environment_id": 42}"#;
/// let account = Account::from_response(&http::Response::new(body.into())).unwrap();
/// assert_eq!((account.region, account.environment_id), (Region::Eu, Some(42)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Account {
    /// The region to send to.
    pub region: Region,
    /// The number of the workspace, if the API names it.
    pub environment_id: Option<u64>,
}

#[derive(Deserialize)]
struct Body {
    region: String,
    environment_id: Option<u64>,
}

impl Account {
    /// Reads the answer to [`region`]; nothing if it is another.
    #[must_use]
    pub fn from_response(response: &Response<Bytes>) -> Option<Self> {
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
