use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use pacing::shared::Reply;
use tower_pace::rate::shared::{NamedCall, SharedStore};

use crate::clock;
use crate::connection::Connection;
use crate::error::{Cause, ConnectError, StoreError};
use crate::script;

/// The number of round trips that are measured. The slowest of fewer would often be too fast; more
/// would delay the start.
const MEASURED: usize = 20;

/// The most quotas in one call of the script. The server serves no other client while it runs, for
/// a twentieth of a millisecond for each quota or more. The calls of more quotas share a round
/// trip.
const MOST_QUOTAS: usize = 50;

/// Keeps shared quotas on Redis or Valkey.
///
/// Clones share the connection. It reconnects by itself.
///
/// A call fails after 240 ms without a reply. While there is no connection, one attempt at a time
/// is made, with backoff and jitter; calls wait for it, and fail at once in between.
#[derive(Clone)]
pub struct RedisStore {
    connection: Connection,
    prefix: Arc<str>,
    round_trip: Duration,
}

impl RedisStore {
    /// Connects to a server, and measures 20 round trips.
    ///
    /// The URL is `redis://user:password@host:port/database`, where all but the host may be left
    /// out, or `unix:///path?db=0&user=..&pass=..`. With `rediss` in place of `redis`, the
    /// connection uses TLS and the certificate authorities of the platform; it needs the feature
    /// `tls`. The schemes `valkey` and `valkeys` mean the same.
    ///
    /// All keys start with `{prefix:`. Programs with the same prefix share the quotas that have the
    /// same name. The prefix has neither braces nor control characters, and at most 100 bytes.
    ///
    /// It must be called in a tokio runtime, in which the connection then lives.
    ///
    /// # Errors
    ///
    /// Fails if the URL or the prefix is invalid, if there is no connection within 5 seconds, if a
    /// round trip takes longer than 240 ms, and if the server does not run the script, as without
    /// permission. A busy machine may need a second try.
    pub async fn connect(url: &str, prefix: &str) -> Result<Self, ConnectError> {
        let is_invalid = |c: char| c == '{' || c == '}' || c.is_control();
        if prefix.is_empty() || prefix.len() > 100 || prefix.contains(is_invalid) {
            return Err(ConnectError::argument(
                "the prefix of the store is invalid; give 1 to 100 bytes without braces",
            ));
        }
        let connection = Connection::open(url).await?;
        let mut store = Self {
            connection,
            prefix: prefix.into(),
            round_trip: Duration::ZERO,
        };
        // The first call may have to load the script.
        store.round_trip().await?;
        for _ in 0..MEASURED {
            store.round_trip = store.round_trip.max(store.round_trip().await?);
        }
        Ok(store)
    }

    /// Returns the time that the script takes for no quota.
    async fn round_trip(&self) -> Result<Duration, StoreError> {
        let sent = clock::now();
        let replies = self.connection.run_script(0, &[], &[]).await;
        replies.map_err(|cause| self.error(None, cause))?;
        Ok(clock::now() - sent)
    }

    fn error(&self, key: Option<String>, cause: Cause) -> StoreError {
        StoreError::new(Arc::clone(self.connection.address()), key, cause)
    }

    async fn call_part(&self, calls: &[NamedCall]) -> Vec<Result<Reply, StoreError>> {
        let mut keys = Vec::new();
        let mut arguments = Vec::new();
        for call in calls {
            keys.extend(script::keys(&self.prefix, &call.name));
            script::push_arguments(&call.call, &mut arguments);
        }
        let connection = &self.connection;
        let replies = connection.run_script(calls.len(), &keys, &arguments).await;
        let error = |call, cause| self.error(Some(self.key(call)), cause);
        match replies {
            Ok(replies) => {
                let replies = calls.iter().zip(replies);
                let with_place = |(call, reply): (_, Result<_, _>)| {
                    reply.map_err(|failure| error(call, Cause::from(failure)))
                };
                replies.map(with_place).collect()
            }
            Err(cause) => {
                let calls = calls.iter();
                calls.map(|call| Err(error(call, cause.clone()))).collect()
            }
        }
    }

    /// Returns the part that the keys of a quota have in common.
    fn key(&self, call: &NamedCall) -> String {
        script::tag(&self.prefix, &call.name)
    }
}

impl SharedStore for RedisStore {
    type Error = StoreError;

    fn round_trip(&self) -> Duration {
        self.round_trip
    }

    async fn call(&self, calls: &[NamedCall]) -> Vec<Result<Reply, StoreError>> {
        let parts = calls.chunks(MOST_QUOTAS).map(|calls| self.call_part(calls));
        join_all(parts).await.into_iter().flatten().collect()
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("address", self.connection.address())
            .field("prefix", &self.prefix)
            .field("round_trip", &self.round_trip)
            .finish()
    }
}
