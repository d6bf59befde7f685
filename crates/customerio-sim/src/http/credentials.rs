use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// Who may use the API by HTTP Basic authentication.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// The one pair allowed, as `user:password`; any pair if none.
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

    pub(super) fn admit(&self, headers: &HeaderMap) -> bool {
        let Some(pair) = basic(headers) else {
            return false;
        };
        match &self.only {
            Some(only) => pair == only.as_bytes(),
            None => pair.contains(&b':'),
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
            credentials.admit(&headers.into_iter().collect()),
            expected,
            "{header:?}"
        );
    }

    #[test]
    fn any_pair_will_do_but_there_must_be_one() {
        let any = Credentials::any();
        check(&any, None, false);
        check(&any, Some("Basic c2l0ZTprZXk="), true);
        check(&any, Some("basic Og=="), true);
        check(&any, Some("Basic c2l0ZQ=="), false);
        check(&any, Some("Basic !"), false);
        check(&any, Some("Bearer c2l0ZTprZXk="), false);
    }

    #[test]
    fn one_pair_excludes_all_others() {
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
