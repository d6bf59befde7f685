use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::Router;
use axum::http::Uri;
use axum::http::uri::Scheme;

use crate::setting::InvalidSetting;

/// A receiver of reporting webhooks. [`Simulator::deliver_webhooks`] sends it the events of
/// messages and of subscriptions, one after the other, each with a signature.
///
/// ```
/// use customerio_sim::{Simulator, Webhook};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let webhook = Webhook::to_url("http://127.0.0.1:3000/webhooks", "signing key")?; let simulator =
/// Simulator::builder().webhook(webhook).build(); let deliveries = { let simulator =
/// simulator.clone(); async move { simulator.deliver_webhooks().await } }; let task =
/// tokio::spawn(deliveries); // until it is aborted
/// # task.abort();
/// # Ok::<(), customerio_sim::InvalidSetting>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// `Debug` leaves out the key.
///
/// [`Simulator::deliver_webhooks`]: crate::Simulator::deliver_webhooks
#[derive(Clone)]
#[must_use]
pub struct Webhook {
    pub(super) target: Target,
    pub(super) key: String,
    pub(super) timeout: Duration,
    pub(super) pause: Duration,
    pub(super) first_backoff: Duration,
    pub(super) longest_backoff: Duration,
    pub(super) give_up: Duration,
    pub(super) is_resigned: bool,
    pub(super) repeat_every: Option<NonZeroU32>,
}

#[derive(Clone)]
pub(super) enum Target {
    /// A socket on this machine, the `Host` header, and the path with its query.
    Url {
        address: (String, u16),
        host: String,
        path: String,
    },
    /// A service in this process.
    Router { router: Box<Router>, path: String },
}

impl Webhook {
    /// Sends events to a URL on this machine, signed with `key`.
    ///
    /// # Errors
    ///
    /// The URL is not http, or its host is not the loopback: a simulator sends nothing to others.
    pub fn to_url(url: &str, key: &str) -> Result<Self, InvalidSetting> {
        let target = target(url).ok_or_else(|| {
            InvalidSetting::new(
                "webhook",
                url,
                "a URL of this machine, such as http://127.0.0.1:3000/webhooks",
            )
        })?;
        Ok(Self::new(target, key))
    }

    /// Sends events to a service in this process, signed with `key`. `path` begins with `/`.
    pub fn to_router(router: Router, path: &str, key: &str) -> Self {
        let (router, path) = (Box::new(router), path.to_owned());
        Self::new(Target::Router { router, path }, key)
    }

    fn new(target: Target, key: &str) -> Self {
        Self {
            target,
            key: key.to_owned(),
            timeout: TIMEOUT,
            pause: PAUSE,
            first_backoff: FIRST_BACKOFF,
            longest_backoff: LONGEST_BACKOFF,
            give_up: GIVE_UP,
            is_resigned: false,
            repeat_every: None,
        }
    }

    /// Sets how long a response may take. The default is the documented 4 s.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets how long the next attempt waits after a status of the documented list, or after a
    /// connection that failed. The default is the documented hour.
    pub fn pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Sets the wait before the first retry, and the longest one: each is twice as long as the one
    /// before. The documents name no times; the default is from 10 s to 6 hours.
    pub fn backoff(self, first: Duration, longest: Duration) -> Self {
        Self {
            first_backoff: first,
            longest_backoff: longest,
            ..self
        }
    }

    /// Sets for how long an event is tried. The default is the documented 7 days.
    pub fn give_up_after(self, time: Duration) -> Self {
        Self {
            give_up: time,
            ..self
        }
    }

    /// Signs each retry anew, with the time of the attempt. By default a retry has the signature of
    /// the first attempt; the documents do not say which.
    pub fn resign_retries(self) -> Self {
        Self {
            is_resigned: true,
            ..self
        }
    }

    /// Delivers each event with this number, and its multiples, a second time: events come at least
    /// once. By default none is.
    pub fn repeat_every(self, events: NonZeroU32) -> Self {
        Self {
            repeat_every: Some(events),
            ..self
        }
    }
}

fn target(url: &str) -> Option<Target> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?;
    let name = uri.host()?;
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = match bare.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => bare.eq_ignore_ascii_case("localhost"),
    };
    let is_plain = uri.scheme() == Some(&Scheme::HTTP) && !authority.as_str().contains('@');
    (is_loopback && is_plain).then(|| Target::Url {
        address: (bare.to_owned(), authority.port_u16().unwrap_or(80)),
        host: authority.to_string(),
        path: uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned(),
    })
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("timeout", &self.timeout)
            .field("pause", &self.pause)
            .field("give_up", &self.give_up)
            .finish_non_exhaustive()
    }
}

// The documented times.
const TIMEOUT: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_secs(60 * 60);
const GIVE_UP: Duration = Duration::from_secs(7 * 24 * 60 * 60);
// The documents only say that the backoff is exponential. About 30 attempts fit into 7 days.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(6 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_goes_to_this_machine_only() {
        for url in [
            "http://127.0.0.1:3000/webhooks",
            "http://localhost",
            "http://[::1]:80/a?b=c",
        ] {
            let webhook = Webhook::to_url(url, "top-secret").unwrap();
            assert!(!format!("{webhook:?}").contains("top-secret"));
        }
        for url in [
            "",
            "/webhooks",
            "https://127.0.0.1/",
            "http://example.com/",
            "http://127.0.0.1.example.com/",
            "http://127.0.0.1@example.com/",
            "http://user@127.0.0.1/",
            "http://192.168.0.1/",
        ] {
            assert!(Webhook::to_url(url, "key").is_err(), "{url}");
        }
    }
}
