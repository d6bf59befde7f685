use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The credentials that the API accepts by HTTP Basic authentication.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// The only accepted pair, as `user:password`. `None` accepts any pair.
    only: Option<String>,
}

impl Credentials {
    pub(crate) fn any() -> Self {
        Self { only: None }
    }

    pub(crate) fn only(site_id: &str, api_key: &str) -> Self {
        Self {
            only: Some(format!("{site_id}:{api_key}")),
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
        f.write_str(if self.only.is_some() {
            "Credentials(one pair)"
        } else {
            "Credentials(any)"
        })
    }
}

fn basic(headers: &HeaderMap) -> Option<Vec<u8>> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    BASE64_STANDARD.decode(encoded.trim()).ok()
}

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
        let only = Credentials::only("site", "key");
        check(&only, Some("Basic c2l0ZTprZXk="), true);
        check(&only, Some("Basic Og=="), false);
        check(&only, None, false);
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(
            format!("{:?}", Credentials::only("site", "key")),
            "Credentials(one pair)"
        );
    }
}
