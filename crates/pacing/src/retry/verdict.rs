/// Whether a response is worth a retry.
///
/// It does not say whether a retry is safe: [`is_idempotent`] and the marks of a request do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No retry: success, or a failure that a retry would only repeat.
    Final,
    /// A retry if the request carries an idempotency key: the server still processes an earlier
    /// attempt (409). No retry otherwise.
    Conflict,
    /// A retry: the server throttled the request (429) and did not process it.
    Throttled,
    /// A retry: the server or a gateway failed for the moment (408, 425, 500, 502, 503, 504, 520 to
    /// 524).
    Transient,
}

impl Verdict {
    /// Classifies a status code.
    ///
    /// ```
    /// use pacing::retry::Verdict;
    ///
    /// assert_eq!(Verdict::of(503), Verdict::Transient);
    /// assert_eq!(Verdict::of(501), Verdict::Final);
    /// ```
    #[must_use]
    pub const fn of(status: u16) -> Self {
        match status {
            409 => Self::Conflict,
            429 => Self::Throttled,
            408 | 425 | 500 | 502 | 503 | 504 | 520..=524 => Self::Transient,
            _ => Self::Final,
        }
    }

    /// Returns the verdict after the server said itself whether to retry.
    ///
    /// `false` ends the attempts. `true` makes any client error or server error worth a retry.
    #[must_use]
    pub const fn overruled(self, status: u16, should_retry: bool) -> Self {
        match self {
            _ if !should_retry => Self::Final,
            Self::Final | Self::Conflict if status >= 400 => Self::Transient,
            verdict => verdict,
        }
    }
}

/// Returns whether a request of this method has the same effect if it arrives twice (RFC 9110,
/// section 9.2.2; for QUERY, RFC 10008).
///
/// ```
/// use pacing::retry::is_idempotent;
///
/// assert!(is_idempotent("PUT"));
/// assert!(!is_idempotent("POST"));
/// ```
#[must_use]
pub fn is_idempotent(method: &str) -> bool {
    matches!(
        method,
        "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE" | "QUERY"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_documented_codes_are_retried() {
        fn check(verdict: Verdict, codes: &[u16]) {
            let found: Vec<u16> = (100..600)
                .filter(|&status| Verdict::of(status) == verdict)
                .collect();
            assert_eq!(found, codes);
        }
        check(
            Verdict::Transient,
            &[408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524],
        );
        check(Verdict::Throttled, &[429]);
        check(Verdict::Conflict, &[409]);
    }

    #[test]
    fn the_server_may_overrule_a_failure_but_not_a_success() {
        fn check(status: u16, should_retry: bool, expected: Verdict) {
            let verdict = Verdict::of(status).overruled(status, should_retry);
            assert_eq!(verdict, expected, "{status} {should_retry}");
        }
        check(503, false, Verdict::Final);
        check(429, false, Verdict::Final);
        check(409, false, Verdict::Final);
        check(400, true, Verdict::Transient);
        check(409, true, Verdict::Transient);
        check(501, true, Verdict::Transient);
        check(429, true, Verdict::Throttled);
        check(503, true, Verdict::Transient);
        check(399, true, Verdict::Final);
        check(200, true, Verdict::Final);
    }

    #[test]
    fn exactly_the_methods_of_the_standards_are_idempotent() {
        let idempotent = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "QUERY"];
        assert!(idempotent.into_iter().all(is_idempotent));
        let others = ["POST", "PATCH", "CONNECT", "get", "query", ""];
        assert!(!others.into_iter().any(is_idempotent));
    }
}
