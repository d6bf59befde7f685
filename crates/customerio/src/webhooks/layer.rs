use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tower_layer::Layer;

use super::{SignatureError, Verified, Verifier, Verify};

/// The default of [`VerifyLayer::max_body`].
///
/// An event takes about 1 KB, and with the content of an email as much as the email. A smaller
/// bound rejects events with long content, and holds back all that follow them for seven days. A
/// larger one lets each request without a valid signature occupy more memory. axum's own bound is
/// the same.
const MAX_BODY: usize = 2 * 1024 * 1024;

/// Verifies the signature of each request before the inner service is called.
///
/// Add it to a router or to a single route; the [module](super) has an example. A valid request
/// arrives at the inner service with the verified bytes as its body, and with a [`Verified`] in its
/// extensions. A handler that takes `Extension<Verified>` fails if the layer is missing.
///
/// Other requests get an empty response, and the inner service is not called:
///
/// | status | reason |
/// |---|---|
/// | 400 | a header of the signature is malformed or repeated; the body did not arrive as a whole |
/// | 401 | a header of the signature is absent; no key matches; over [`max_age`](Self::max_age) |
/// | 413 | the body exceeds [`max_body`](Self::max_body) |
///
/// The extensions of the response have the [`Rejection`](super::Rejection), for your log.
///
/// # Place in the stack
///
/// - Inside: layers that change the body, such as decompression. The signature covers the bytes as
///   they were sent.
/// - Outside: a timeout. This layer has no timer, so a client that sends its body slowly occupies
///   memory and a connection until the server or the timeout ends it.
/// - Outside: a bound on the requests at once, such as `GlobalConcurrencyLimitLayer` of `tower`.
///   Each takes up to twice `max_body` before its signature is verified.
///
/// With axum, a `max_body` over 2 MiB also needs `DefaultBodyLimit`, which bounds the extractors.
#[derive(Clone, Debug)]
pub struct VerifyLayer {
    settings: Arc<Settings>,
}

impl VerifyLayer {
    /// Creates a layer that accepts bodies of up to 2 MiB and signatures of any age.
    #[must_use]
    pub fn new(verifier: Verifier) -> Self {
        let settings = Settings {
            verifier,
            max_body: MAX_BODY,
            age: None,
        };
        Self {
            settings: Arc::new(settings),
        }
    }

    /// Sets the bytes that a body may have, 2 MiB by default.
    ///
    /// A request takes up to twice this memory while its body arrives. A body whose length is
    /// announced is rejected before any of it is read.
    ///
    /// Customer.io sends an event again for seven days if the response is 413, and holds back all
    /// later events of the webhook.
    #[must_use]
    pub fn max_body(self, bytes: usize) -> Self {
        self.with(|settings| settings.max_body = bytes)
    }

    /// Rejects a signature that was made more than `max_age` before or after the time that `clock`
    /// returns. By default a signature may have any age.
    ///
    /// It is not documented whether Customer.io signs a retry anew. If it does not, a `max_age`
    /// under seven days rejects retries. [`Verified::check_age`] checks the age in the handler,
    /// which can then log it and accept the event.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use customerio::webhooks::{SigningKey, Verifier, VerifyLayer};
    ///
    /// let verifier = Verifier::new(SigningKey::new("secret")?);
    /// let eight_days = Duration::from_secs(8 * 24 * 60 * 60);
    /// let layer = VerifyLayer::new(verifier).max_age(eight_days, SystemTime::now);
    /// # Ok::<(), customerio::InvalidInput>(())
    /// ```
    #[must_use]
    pub fn max_age(
        self,
        max_age: Duration,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Self {
        let clock = Arc::new(clock);
        self.with(|settings| settings.age = Some(Age { max_age, clock }))
    }

    /// Changes the settings of this layer. Clones keep theirs.
    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<S> Layer<S> for VerifyLayer {
    type Service = Verify<S>;

    fn layer(&self, inner: S) -> Verify<S> {
        Verify::new(inner, Arc::clone(&self.settings))
    }
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) verifier: Verifier,
    pub(super) max_body: usize,
    age: Option<Age>,
}

impl Settings {
    pub(super) fn check_age(&self, verified: Verified) -> Result<(), SignatureError> {
        let Some(age) = &self.age else { return Ok(()) };
        verified.check_age((age.clock)(), age.max_age)
    }
}

#[derive(Clone)]
struct Age {
    max_age: Duration,
    clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl fmt::Debug for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Age")
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}
