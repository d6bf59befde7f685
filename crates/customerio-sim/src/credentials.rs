use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The credentials that the APIs accept: the Track API by HTTP Basic authentication, the App API
/// by a bearer token.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// The only accepted pair, as `user:password`. `None` accepts any pair.
    only: Option<String>,
    /// The only accepted key of the App API. `None` accepts any key.
    only_app_key: Option<String>,
}

impl Credentials {
    pub(crate) fn any() -> Self {
        Self {
            only: None,
            only_app_key: None,
        }
    }

    /// Accepts one pair in the Track API.
    pub(crate) fn only(&mut self, site_id: &str, api_key: &str) {
        self.only = Some(format!("{site_id}:{api_key}"));
    }

    /// Accepts one key in the App API.
    pub(crate) fn only_app_key(&mut self, key: &str) {
        self.only_app_key = Some(key.to_owned());
    }

    /// Returns whether a request to the App API with these headers is authenticated. A token of a
    /// service account is accepted for sending only, and with the number of a workspace.
    pub(crate) fn accept_app(&self, headers: &HeaderMap, sends: bool) -> bool {
        let Some(token) = bearer(headers) else {
            return false;
        };
        match &self.only_app_key {
            Some(only) => token == only,
            None if token.starts_with(SERVICE_ACCOUNT) => sends && has_workspace(headers),
            None => !token.is_empty(),
        }
    }

    /// Returns whether a request with these headers is authenticated.
    pub(crate) fn accept(&self, headers: &HeaderMap) -> bool {
        let Some(pair) = basic(headers) else {
            return false;
        };
        match &self.only {
            // Not in constant time: a simulator protects nothing.
            Some(only) => pair == only.as_bytes(),
            // Any pair of the form `user:password`, in which neither is empty.
            None => pair
                .iter()
                .position(|byte| *byte == b':')
                .is_some_and(|colon| colon > 0 && colon + 1 < pair.len()),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = |is_set| if is_set { "one" } else { "any" };
        f.debug_struct("Credentials")
            .field("track", &bound(self.only.is_some()))
            .field("app", &bound(self.only_app_key.is_some()))
            .finish()
    }
}

fn basic(headers: &HeaderMap) -> Option<Vec<u8>> {
    let encoded = value(headers, "basic")?;
    BASE64_STANDARD.decode(encoded).ok()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    value(headers, "bearer")
}

/// Returns the credentials in the header `Authorization`, if they are of this scheme.
fn value<'a>(headers: &'a HeaderMap, expected: &str) -> Option<&'a str> {
    let (scheme, value) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case(expected).then(|| value.trim())
}

fn has_workspace(headers: &HeaderMap) -> bool {
    let workspace = headers.get("x-workspace-id");
    let number = workspace.and_then(|workspace| workspace.to_str().ok());
    number.is_some_and(|number| number.parse::<u64>().is_ok())
}

/// The prefix of the tokens of service accounts.
const SERVICE_ACCOUNT: &str = "sa_live_";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(credentials: &Credentials, header: Option<&str>, expected: bool) {
        let headers = header.map(|value| (AUTHORIZATION, value.parse().unwrap()));
        assert_eq!(
            credentials.accept(&headers.into_iter().collect()),
            expected,
            "{header:?}"
        );
    }

    #[test]
    fn any_pair_is_accepted_but_there_must_be_one() {
        let any = Credentials::any();
        check(&any, None, false);
        check(&any, Some("Basic c2l0ZTprZXk="), true);
        check(&any, Some("basic c2l0ZTprZXk="), true);
        check(&any, Some("Basic Og=="), false);
        check(&any, Some("Basic c2l0ZTo="), false);
        check(&any, Some("Basic OmtleQ=="), false);
        check(&any, Some("Basic c2l0ZQ=="), false);
        check(&any, Some("Basic !"), false);
        check(&any, Some("Bearer c2l0ZTprZXk="), false);
    }

    #[test]
    fn with_one_pair_all_others_are_rejected() {
        let mut only = Credentials::any();
        only.only("site", "key");
        check(&only, Some("Basic c2l0ZTprZXk="), true);
        check(&only, Some("Basic Og=="), false);
        check(&only, None, false);
    }

    #[test]
    fn the_app_api_accepts_a_bearer_token() {
        let accepts = |credentials: &Credentials, token: &str, workspace: &str, sends: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, token.parse().unwrap());
            headers.insert("x-workspace-id", workspace.parse().unwrap());
            credentials.accept_app(&headers, sends)
        };
        let any = Credentials::any();
        assert!(accepts(&any, "Bearer key", "", false));
        assert!(!accepts(&any, "Bearer ", "", false));
        assert!(!accepts(&any, "Basic c2l0ZTprZXk=", "", false));
        assert!(accepts(&any, "Bearer sa_live_1", "7", true));
        assert!(!accepts(&any, "Bearer sa_live_1", "7", false));
        assert!(!accepts(&any, "Bearer sa_live_1", "", true));
        let mut only = Credentials::any();
        only.only_app_key("key");
        assert!(accepts(&only, "bearer key", "", false));
        assert!(!accepts(&only, "Bearer other", "", false));
    }

    #[test]
    fn debug_shows_no_secret() {
        let mut credentials = Credentials::any();
        credentials.only("site", "key");
        credentials.only_app_key("key");
        let shown = format!("{credentials:?}");
        assert_eq!(shown, r#"Credentials { track: "one", app: "one" }"#);
    }
}
