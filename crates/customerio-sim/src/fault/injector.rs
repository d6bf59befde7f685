use std::time::Duration;

use axum::http::StatusCode;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::faults::Faults;
use super::plan::{FailurePoint, Fault, Plan};
use super::probability::Probability;
use super::script::Script;

/// Decides the delays and the fault of each request.
///
/// The generator is named, and not the default of `rand`, so that a seed means the same on every
/// machine and with every version of `rand`.
#[derive(Debug)]
pub(crate) struct FaultInjector {
    faults: Faults,
    /// Faults that replace the present ones, with the time of the change. The next change is last.
    changes: Vec<(Duration, Faults)>,
    script: Script,
    generator: Xoshiro256PlusPlus,
    /// Samples for the faults that were added later. Drawing them from `generator` would change
    /// the plans of every existing seed.
    second: Xoshiro256PlusPlus,
}

impl FaultInjector {
    pub(crate) fn new(faults: Faults, seed: u64) -> Self {
        Self {
            faults,
            changes: Vec::new(),
            script: Script::default(),
            generator: Xoshiro256PlusPlus::seed_from_u64(seed),
            second: Xoshiro256PlusPlus::seed_from_u64(seed.wrapping_add(1)),
        }
    }

    /// Replaces the faults at these times since the simulator's start.
    pub(crate) fn changes(self, mut changes: Vec<(Duration, Faults)>) -> Self {
        changes.sort_by_key(|(after, _)| *after);
        changes.reverse();
        Self { changes, ..self }
    }

    /// Applies `script` to the first requests.
    pub(crate) fn script(self, script: Script) -> Self {
        Self { script, ..self }
    }

    /// Returns the plan of a request that arrives at `now`.
    pub(crate) fn next_plan(&mut self, now: Duration) -> Plan {
        let is_due = |(after, _): &mut (Duration, Faults)| *after <= now;
        while let Some((_, faults)) = self.changes.pop_if(is_due) {
            self.faults = faults;
        }
        // Drawn for scripted requests too, so that a longer script does not shift the later plans.
        let drawn = self.draw();
        self.script.apply(drawn)
    }

    /// Draws the plan of one request.
    ///
    /// Every call takes the same number of samples in the same order. If one were skipped where its
    /// setting is off, a change of one setting would shift the effect of all others.
    fn draw(&mut self) -> Plan {
        let mut inbound = self.delay();
        let mut outbound = self.delay();
        let (stalls, is_inbound) = (self.hits(self.faults.stall.probability), self.coin());
        match (stalls, is_inbound) {
            (true, true) => inbound += self.faults.stall.length,
            (true, false) => outbound += self.faults.stall.length,
            (false, _) => {}
        }
        let fault = self.fault();
        Plan {
            inbound,
            outbound,
            fault,
        }
    }

    fn fault(&mut self) -> Option<Fault> {
        let gateway = self.hits(self.faults.gateway);
        let outage = self.hits(self.faults.outage.probability);
        let error = self.hits(self.faults.error);
        let reset = self.hits(self.faults.reset);
        // Drawn even if no fault hits: see `draw`.
        let (status, point) = (self.error_status(), self.failure_point());
        let garbage = self.faults.garbage.hits(self.second.random());
        match () {
            () if gateway => Some(Fault::Gateway),
            () if outage => Some(self.outage()),
            () if error => Some(Fault::status(point, status, None)),
            () if reset => Some(Fault::reset(point)),
            () if garbage => Some(Fault::garbage(point)),
            () => None,
        }
    }

    fn outage(&self) -> Fault {
        let pause = self.faults.outage.retry_after;
        Fault::status(
            FailurePoint::BeforeEffect,
            StatusCode::SERVICE_UNAVAILABLE,
            Some(pause),
        )
    }

    fn failure_point(&mut self) -> FailurePoint {
        if self.coin() {
            FailurePoint::BeforeEffect
        } else {
            FailurePoint::AfterEffect
        }
    }

    fn delay(&mut self) -> Duration {
        let sample = self.sample();
        self.faults.latency + self.faults.jitter.mul_f64(sample)
    }

    fn error_status(&mut self) -> StatusCode {
        match self.sample() {
            sample if sample < 1.0 / 3.0 => StatusCode::INTERNAL_SERVER_ERROR,
            sample if sample < 2.0 / 3.0 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn hits(&mut self, probability: Probability) -> bool {
        probability.hits(self.sample())
    }

    fn coin(&mut self) -> bool {
        self.sample() < 0.5
    }

    /// Draws evenly from `0.0..1.0`.
    fn sample(&mut self) -> f64 {
        self.generator.random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Outage, Replacement, Stall};

    fn all_faults() -> Faults {
        let probability = |probability| Probability::new(probability).unwrap();
        Faults::none()
            .latency(Duration::from_millis(20))
            .jitter(Duration::from_millis(50))
            .stall(Stall::new(probability(0.1), Duration::from_millis(300)))
            .gateway(probability(0.1))
            .outage(Outage::new(probability(0.1), 2))
            .error(probability(0.1))
            .reset(probability(0.1))
    }

    fn draw(faults: Faults, seed: u64) -> Vec<Plan> {
        let mut injector = FaultInjector::new(faults, seed);
        (0..10_000).map(|_| injector.draw()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_plans() {
        assert_eq!(draw(all_faults(), 7), draw(all_faults(), 7));
        assert_ne!(draw(all_faults(), 7), draw(all_faults(), 8));
    }

    #[test]
    fn without_faults_no_request_is_delayed_or_fails() {
        assert!(
            draw(Faults::none(), 7)
                .iter()
                .all(|plan| *plan == Plan::default())
        );
    }

    #[test]
    fn one_setting_does_not_shift_the_effect_of_another() {
        let all_faults = draw(all_faults(), 7);
        let jitter_alone = draw(Faults::none().jitter(Duration::from_millis(50)), 7);
        let latency = Duration::from_millis(20);
        let unstalled = |plan: &Plan| plan.inbound < Duration::from_millis(300);
        for (with, without) in all_faults
            .iter()
            .zip(&jitter_alone)
            .filter(|(with, _)| unstalled(with))
        {
            assert_eq!(with.inbound, without.inbound + latency);
        }
    }

    #[test]
    fn delays_stay_within_latency_and_jitter_in_both_directions() {
        let faults = Faults::none()
            .latency(Duration::from_millis(20))
            .jitter(Duration::from_millis(50));
        let plans = draw(faults, 7);
        for delay in plans.iter().flat_map(|plan| [plan.inbound, plan.outbound]) {
            assert!(
                (Duration::from_millis(20)..Duration::from_millis(70)).contains(&delay),
                "{delay:?}"
            );
        }
        let late = plans
            .iter()
            .filter(|plan| plan.inbound > Duration::from_millis(45))
            .count();
        assert!(
            (4_800..5_200).contains(&late),
            "{late} of 10,000 in the upper half"
        );
    }

    #[test]
    fn stalls_hit_both_directions_with_their_probability() {
        let stall = Stall::new(Probability::new(0.1).unwrap(), Duration::from_millis(300));
        let plans = draw(Faults::none().stall(stall), 7);
        let stalled = |delay: fn(&Plan) -> Duration| {
            plans.iter().filter(|plan| !delay(plan).is_zero()).count()
        };
        let (inbound, outbound) = (stalled(|plan| plan.inbound), stalled(|plan| plan.outbound));
        assert!(
            (400..600).contains(&inbound) && (400..600).contains(&outbound),
            "{inbound} in, {outbound} out"
        );
    }

    #[track_caller]
    fn check(faults: Faults, is_it: impl Fn(&Fault) -> bool) {
        let plans = draw(faults, 7);
        let injected = plans.iter().filter_map(|plan| plan.fault.as_ref());
        let (hits, others): (Vec<&Fault>, Vec<&Fault>) = injected.partition(|fault| is_it(fault));
        assert!(
            (900..1_100).contains(&hits.len()) && others.is_empty(),
            "{} and {}",
            hits.len(),
            others.len()
        );
    }

    #[test]
    fn every_fault_hits_with_its_probability() {
        let probability = Probability::new(0.1).unwrap();
        let failure = |fault: &Fault, is_it: fn(&Replacement) -> bool| match fault {
            Fault::Failure(failure) => is_it(&failure.replacement),
            Fault::Gateway => false,
        };
        check(Faults::none().gateway(probability), |fault| {
            *fault == Fault::Gateway
        });
        check(Faults::none().reset(probability), |fault| {
            failure(fault, |replacement| *replacement == Replacement::Reset)
        });
        check(Faults::none().error(probability), |fault| {
            failure(fault, |replacement| {
                matches!(
                    replacement,
                    Replacement::Status {
                        retry_after: None,
                        ..
                    }
                )
            })
        });
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let outage = Fault::status(FailurePoint::BeforeEffect, unavailable, Some(2));
        check(
            Faults::none().outage(Outage::new(probability, 2)),
            |fault| *fault == outage,
        );
    }

    /// Returns how many of 10,000 requests meet exactly this fault.
    fn count(faults: Faults, fault: Fault) -> usize {
        let plans = draw(faults, 7);
        plans
            .iter()
            .filter(|plan| plan.fault == Some(fault))
            .count()
    }

    #[test]
    fn half_of_the_resets_are_after_the_effect() {
        for point in [FailurePoint::BeforeEffect, FailurePoint::AfterEffect] {
            let found = count(
                Faults::none().reset(Probability::ALWAYS),
                Fault::reset(point),
            );
            assert!((4_800..5_200).contains(&found), "{found} {point:?}");
        }
    }

    #[test]
    fn errors_have_three_statuses_in_equal_parts() {
        for status in [500, 503, 504] {
            let status = StatusCode::from_u16(status).unwrap();
            let fault = Fault::status(FailurePoint::AfterEffect, status, None);
            let found = count(Faults::none().error(Probability::ALWAYS), fault);
            assert!((1_550..1_780).contains(&found), "{found} of {status}");
        }
    }
}
