use std::collections::VecDeque;
use std::time::Duration;

use axum::http::StatusCode;

use super::fate::{Failure, Fate, Instead, Mishap, When};
use crate::setting::LONGEST;

/// What happens to the first requests, one step each, in the order in which they arrive.
///
/// A step replaces the mishap that the weather has drawn; delays remain. After the last step the weather alone decides.
///
/// ```
/// use customerio_sim::{Script, Simulator, Step, When};
///
/// let script = Script::new([Step::status(429).retry_after(2), Step::pass(), Step::reset(When::AfterEffect)]);
/// let simulator = Simulator::builder().script(script).build();
/// assert_eq!(simulator.books().requests, 0);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Script {
    steps: VecDeque<Step>,
}

impl Script {
    /// Plays `steps` one by one. A number stands for [`Step::status`].
    ///
    /// # Panics
    ///
    /// If a number is no status, as [`Step::status`] does.
    pub fn new<S: Into<Step>>(steps: impl IntoIterator<Item = S>) -> Self {
        Self {
            steps: steps.into_iter().map(Into::into).collect(),
        }
    }

    /// Overrides `drawn` by the next step, if one is left.
    pub(crate) fn play(&mut self, drawn: Fate) -> Fate {
        match self.steps.pop_front() {
            Some(step) => Fate {
                mishap: step.mishap,
                way_in: drawn.way_in + step.stall,
                ..drawn
            },
            None => drawn,
        }
    }
}

/// What happens to one request of a [`Script`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Step {
    mishap: Option<Mishap>,
    stall: Duration,
}

impl Step {
    /// Lets the request through to the API.
    pub const fn pass() -> Self {
        Self {
            mishap: None,
            stall: Duration::ZERO,
        }
    }

    /// Answers `status` with an empty JSON object, behind the counter, without an effect.
    ///
    /// # Panics
    ///
    /// If `status` is not from 200 to 599: a server cannot send it as an answer.
    pub fn status(status: u16) -> Self {
        assert!(
            (200..=599).contains(&status),
            "{status} is no status of a final answer"
        );
        let status = StatusCode::from_u16(status).expect("a number from 200 to 599 is a status");
        Self::with(Mishap::status(When::BeforeEffect, status, None))
    }

    /// Adds `Retry-After` in seconds to a [`status`](Self::status) and changes no other step.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        if let Some(Mishap::Failure(Failure {
            instead: Instead::Status { retry_after, .. },
            ..
        })) = &mut self.mishap
        {
            *retry_after = Some(seconds);
        }
        self
    }

    /// Drops the connection without an answer.
    pub const fn reset(when: When) -> Self {
        Self::with(Mishap::reset(when))
    }

    /// Answers 200 with a page in HTML where the API's answer belongs.
    pub const fn garbage(when: When) -> Self {
        Self::with(Mishap::garbage(when))
    }

    /// Answers 502 with an HTML page, in front of the counter.
    pub const fn gateway() -> Self {
        Self::with(Mishap::Gateway)
    }

    /// Holds the request up before it reaches the counter, a day at most.
    pub fn stall(mut self, length: Duration) -> Self {
        self.stall = length.min(LONGEST);
        self
    }

    const fn with(mishap: Mishap) -> Self {
        Self {
            mishap: Some(mishap),
            stall: Duration::ZERO,
        }
    }
}

impl From<u16> for Step {
    fn from(status: u16) -> Self {
        Self::status(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_override_mishaps_in_order_and_leave_delays() {
        let drawn = Fate {
            way_in: Duration::from_millis(5),
            way_out: Duration::ZERO,
            mishap: Some(Mishap::Gateway),
        };
        let mut script = Script::new([
            Step::pass().stall(Duration::from_secs(1)),
            Step::reset(When::BeforeEffect),
        ]);
        let first = script.play(drawn.clone());
        assert_eq!(
            (first.mishap, first.way_in),
            (None, Duration::from_millis(1_005))
        );
        let second = script.play(drawn.clone());
        assert_eq!(
            (second.mishap, second.way_in),
            (Some(Mishap::reset(When::BeforeEffect)), drawn.way_in)
        );
        assert_eq!(script.play(drawn.clone()), drawn);
    }

    #[test]
    #[should_panic(expected = "101 is no status of a final answer")]
    fn an_interim_status_is_no_step() {
        let _step = Step::status(101);
    }
}
