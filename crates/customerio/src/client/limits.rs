use tower_pace::{Quota, RateLimitLayer};

/// Holds the limits that a client keeps, and what was used of them.
///
/// A clone shares the limits: two clients made from clones of one value stay within them together. Two
/// values that were made apart share nothing, which is right for two workspaces only.
///
/// ```
/// use customerio::client::{Limits, Quota};
/// let limits = Limits::documented().ingress(Quota::per_second(100));
/// # let _: (Limits, Limits) =
/// (limits.clone(), limits);
/// assert_eq!(Limits::DOCUMENTED_INGRESS.limit(), 1_000);
/// ```
#[derive(Clone, Debug)]
pub struct Limits {
    ingress: RateLimitLayer,
}

impl Limits {
    /// The documented rate of the Track API, both versions together: 3,000 requests in 3 seconds, kept as 1,000 in each.
    ///
    /// It is not strictly enforced; above it data may be dropped behind a 200.
    pub const DOCUMENTED_INGRESS: Quota = Quota::per_second(1_000);

    /// Returns the documented limits.
    #[must_use]
    pub fn documented() -> Self {
        Self {
            ingress: RateLimitLayer::new(Self::DOCUMENTED_INGRESS),
        }
    }

    /// Sets how many requests may go to the Track API. What was used of the former limit is forgotten.
    #[must_use]
    pub fn ingress(self, quota: Quota) -> Self {
        Self {
            ingress: RateLimitLayer::new(quota),
        }
    }

    pub(super) fn layer(&self) -> RateLimitLayer {
        self.ingress.clone()
    }
}

impl Default for Limits {
    /// Returns the documented limits.
    fn default() -> Self {
        Self::documented()
    }
}
