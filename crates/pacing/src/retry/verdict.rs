/// What a status code means for trying again. It says nothing of whether a replay would be safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer stands: success, or a failure that would only repeat itself.
    Final,
    /// The server refused for its limit (429): the request was not processed.
    Throttled,
    /// The server or something before it failed for the moment: 408, 425, 500, 502, 503, 504, 520 to 524.
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
            429 => Self::Throttled,
            408 | 425 | 500 | 502 | 503 | 504 | 520..=524 => Self::Transient,
            _ => Self::Final,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_documented_codes_are_tried_again() {
        let transient: Vec<u16> = (100..600)
            .filter(|&status| Verdict::of(status) == Verdict::Transient)
            .collect();
        assert_eq!(
            transient,
            [408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524]
        );
        let throttled: Vec<u16> = (100..600)
            .filter(|&status| Verdict::of(status) == Verdict::Throttled)
            .collect();
        assert_eq!(throttled, [429]);
    }
}
