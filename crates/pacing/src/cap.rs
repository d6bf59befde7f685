use crate::meter::Conditions;
use crate::moment::Span;
use crate::policy::{Pace, Policy};
use crate::{Model, Moment};

/// Holds requests back while more of them left without a proof of the path than the pace and the typical round trip
/// explain. A path that blocks for a while would otherwise flush all of them at once.
///
/// Meanwhile single requests probe the path, at gaps that double up to `max_transit`, so the hold always has an end.
/// Requests that are slow, hang or poll for long do not count: they are proven as soon as a later one is answered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cap {
    /// The probes that left since the last proof.
    probes: u32,
}

impl Cap {
    /// Returns the moment of the next probe, if requests are held back.
    ///
    /// They are held while unproven cost >= lump + (round trip + jitter) / interval. A lump is what may arrive at once.
    /// Up to three quarters of the limit are no lump, since heavy requests and a burst would leave room for nothing else.
    /// Where slots hold the rate below the pace, their interval counts.
    pub(crate) fn probe(
        self,
        policy: &Policy,
        pace: &Pace,
        conditions: &Conditions,
    ) -> Option<Moment> {
        let unproven = conditions.unproven.counted(policy.unit);
        let most = policy.most();
        let lump = pace.lump().min(pace.heaviest.max(most - most.div_ceil(4)));
        let beyond = u128::from(unproven.checked_sub(lump.into())?);
        let usual = u128::from((conditions.round_trip + conditions.jitter).nanos());
        let is_beyond_pace = beyond * u128::from(pace.interval.nanos()) >= usual;
        if !is_beyond_pace && !is_beyond_slots(policy, beyond, usual, conditions) {
            return None;
        }
        let last = conditions.last_departure?;
        let gap = pace.interval.max(conditions.jitter);
        let longest = gap.max(conditions.transit);
        let doubled = gap.nanos().saturating_mul(1 << self.probes.min(62));
        Some(last + longest.min(Span::from_nanos(doubled)))
    }

    /// Records a departure while requests are held back.
    pub(crate) fn record_probe(&mut self) {
        self.probes = self.probes.saturating_add(1);
    }

    /// Records a proof of the path: the gaps start anew.
    pub(crate) fn reset(&mut self) {
        self.probes = 0;
    }
}

fn is_beyond_slots(policy: &Policy, beyond: u128, usual: u128, conditions: &Conditions) -> bool {
    if matches!(policy.model, Model::TokenBucket { .. }) {
        return false;
    }
    let held = policy.counted_window() + conditions.round_trip.min(conditions.transit);
    beyond * u128::from(held.nanos()) >= usual * u128::from(policy.limit)
}
