use std::collections::VecDeque;
use std::time::Duration;

use axum::http::StatusCode;

use super::plan::{Failure, FailurePoint, Fault, Plan, Replacement};
use crate::setting::LONGEST;

/// The faults of the first requests: one step for each, in the order of arrival.
///
/// A step replaces the fault that [`Faults`](crate::Faults) would inject; delays remain. After the
/// last step, [`Faults`](crate::Faults) alone decide.
///
/// ```
/// use customerio_sim::{FailurePoint, Script, Simulator, Step};
///
/// let script = Script::new([
///     Step::status(429).retry_after(2),
///     Step::pass(),
///     Step::reset(FailurePoint::AfterEffect),
/// ]);
/// let simulator = Simulator::builder().script(script).build();
/// assert_eq!(simulator.totals().requests, 0);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Script {
    steps: VecDeque<Step>,
}

impl Script {
    /// Creates a script of `steps`. A number `n` is short for `Step::status(n)`.
    ///
    /// # Panics
    ///
    /// If a number is outside of 200 to 599, as [`Step::status`] does.
    pub fn new<S: Into<Step>>(steps: impl IntoIterator<Item = S>) -> Self {
        Self {
            steps: steps.into_iter().map(Into::into).collect(),
        }
    }

    /// Takes the next step and returns `drawn` with the step's fault. Returns `drawn` as it is
    /// once no step is left.
    pub(super) fn apply(&mut self, drawn: Plan) -> Plan {
        match self.steps.pop_front() {
            Some(step) => Plan {
                fault: step.fault,
                inbound: drawn.inbound + step.stall,
                ..drawn
            },
            None => drawn,
        }
    }
}

/// The fault of one request in a [`Script`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Step {
    fault: Option<Fault>,
    stall: Duration,
}

impl Step {
    /// Injects no fault: the API handles the request.
    pub const fn pass() -> Self {
        Self {
            fault: None,
            stall: Duration::ZERO,
        }
    }

    /// Responds with `status` and an empty JSON object. The request is counted and not applied.
    ///
    /// # Panics
    ///
    /// If `status` is outside of 200 to 599, and so not the status of a final response.
    pub fn status(status: u16) -> Self {
        assert!(
            (200..=599).contains(&status),
            "{status} is not the status of a final response"
        );
        let status = StatusCode::from_u16(status).expect("a number from 200 to 599 is a status");
        Self::with(Fault::status(FailurePoint::BeforeEffect, status, None))
    }

    /// Adds `Retry-After`, in seconds, to a [`status`](Self::status). Other steps stay as they are.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        if let Some(Fault::Failure(Failure {
            replacement: Replacement::Status { retry_after, .. },
            ..
        })) = &mut self.fault
        {
            *retry_after = Some(seconds);
        }
        self
    }

    /// Drops the connection without a response, before or after the API applies the request.
    pub const fn reset(point: FailurePoint) -> Self {
        Self::with(Fault::reset(point))
    }

    /// Responds 200 with a page in HTML in place of the API's response.
    pub const fn garbage(point: FailurePoint) -> Self {
        Self::with(Fault::garbage(point))
    }

    /// Responds 502 with an HTML page, as a gateway does. The request is not counted.
    pub const fn gateway() -> Self {
        Self::with(Fault::Gateway)
    }

    /// Delays the request by `length` before it reaches the counter. The maximum is one day.
    pub fn stall(mut self, length: Duration) -> Self {
        self.stall = length.min(LONGEST);
        self
    }

    const fn with(fault: Fault) -> Self {
        Self {
            fault: Some(fault),
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
    fn steps_replace_faults_in_order_and_leave_delays() {
        let drawn = Plan {
            inbound: Duration::from_millis(5),
            outbound: Duration::ZERO,
            fault: Some(Fault::Gateway),
        };
        let mut script = Script::new([
            Step::pass().stall(Duration::from_secs(1)),
            Step::reset(FailurePoint::BeforeEffect),
        ]);
        let first = script.apply(drawn.clone());
        assert_eq!(
            (first.fault, first.inbound),
            (None, Duration::from_millis(1_005))
        );
        let second = script.apply(drawn.clone());
        assert_eq!(
            (second.fault, second.inbound),
            (
                Some(Fault::reset(FailurePoint::BeforeEffect)),
                drawn.inbound
            )
        );
        assert_eq!(script.apply(drawn.clone()), drawn);
    }

    #[test]
    #[should_panic(expected = "101 is not the status of a final response")]
    fn an_interim_status_panics() {
        let _step = Step::status(101);
    }
}
