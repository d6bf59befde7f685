//! The store of limits that several programs share.

use std::env::{self, VarError};
use std::fmt;

use anyhow::{Context, Result, bail};
use customerio::client::SharedLimits;
use tower_pace_redis::RedisStore;

/// The variable that has the URL if the command line has none.
const VARIABLE: &str = "CUSTOMERIO_SHARED_LIMIT";

/// The start of the keys. A program that uses the client `customerio` with the same one shares the
/// limits with the import.
const PREFIX: &str = "customerio";

/// The URL of a store, which may have a password.
#[derive(Clone)]
pub(crate) struct SharedLimit(String);

impl SharedLimit {
    /// Returns the URL of the command line, or that of the environment.
    ///
    /// # Errors
    ///
    /// Fails if the URL of the command line has a password: the list of processes would show it.
    pub(crate) fn new(argument: Option<String>) -> Result<Option<Self>> {
        if let Some(url) = argument {
            if url.contains('@') {
                bail!(
                    "--shared-limit has a user or a password, which the list of processes shows; \
                     set {VARIABLE} in place of the option"
                );
            }
            return Ok(Some(Self(url)));
        }
        match env::var(VARIABLE) {
            Ok(url) if url.is_empty() => Ok(None),
            Ok(url) => Ok(Some(Self(url))),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => bail!("{VARIABLE} is no text; give a URL"),
        }
    }

    /// Connects to the store, and calls it from a task.
    pub(crate) async fn connect(&self) -> Result<SharedLimits> {
        let store = RedisStore::connect(&self.0, PREFIX)
            .await
            .context("the shared limit cannot be used; nothing was sent")?;
        let (limits, driver) = SharedLimits::new(store);
        tokio::spawn(driver.run());
        Ok(limits)
    }
}

/// Shows the address without the user and the password.
impl fmt::Display for SharedLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let address = rest.rsplit('@').next().unwrap_or_default();
        let address = address.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{address}")
    }
}

impl fmt::Debug for SharedLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_shown_without_user_password_and_query() {
        fn check(url: &str, shown: &str) {
            let limit = SharedLimit(url.to_owned());
            assert_eq!(
                (limit.to_string(), format!("{limit:?}")),
                (shown.into(), shown.into())
            );
        }
        check("redis://localhost:6379/1", "redis://localhost:6379/1");
        check("rediss://user:p@ss@host", "rediss://host");
        check("unix:///run/redis?pass=secret", "unix:///run/redis");
    }

    #[test]
    fn a_password_on_the_command_line_is_an_error_that_does_not_repeat_it() {
        let error = SharedLimit::new(Some("redis://:secret@host".into())).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(VARIABLE) && !text.contains("secret"),
            "{text}"
        );
    }
}
