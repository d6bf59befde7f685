use std::time::Duration;

use axum::http::StatusCode;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::chance::Chance;
use super::fate::{Fate, Mishap, When};
use super::forecast::Weather;

/// The one source of randomness: a named generator, so that a seed means the same on every machine.
#[derive(Debug)]
pub(crate) struct Dice {
    weather: Weather,
    /// What the weather becomes, and when: the next change last.
    changes: Vec<(Duration, Weather)>,
    generator: Xoshiro256PlusPlus,
    /// A generator of its own for what was added later, so that a seed means what it meant before.
    second: Xoshiro256PlusPlus,
}

impl Dice {
    pub(crate) fn new(weather: Weather, seed: u64) -> Self {
        Self {
            weather,
            changes: Vec::new(),
            generator: Xoshiro256PlusPlus::seed_from_u64(seed),
            second: Xoshiro256PlusPlus::seed_from_u64(seed.wrapping_add(1)),
        }
    }

    /// Lets the weather change at these moments.
    pub(crate) fn changing(self, mut changes: Vec<(Duration, Weather)>) -> Self {
        changes.sort_by_key(|(after, _)| *after);
        changes.reverse();
        Self { changes, ..self }
    }

    /// Turns the weather to what it is at this moment.
    pub(crate) fn turn(&mut self, now: Duration) {
        let due = |(after, _): &mut (Duration, Weather)| *after <= now;
        while let Some((_, weather)) = self.changes.pop_if(due) {
            self.weather = weather;
        }
    }

    /// Draws the fate of the next request. Always makes the same number of rolls, so that a change to one setting does
    /// not shift what another one does.
    pub(crate) fn draw(&mut self) -> Fate {
        let mut way_in = self.transit();
        let mut way_out = self.transit();
        let (stalls, inward) = (self.happens(self.weather.stall.chance), self.coin());
        match (stalls, inward) {
            (true, true) => way_in += self.weather.stall.length,
            (true, false) => way_out += self.weather.stall.length,
            (false, _) => {}
        }
        let mishap = self.mishap();
        Fate {
            way_in,
            way_out,
            mishap,
        }
    }

    fn mishap(&mut self) -> Option<Mishap> {
        let gateway = self.happens(self.weather.gateway);
        let outage = self.happens(self.weather.outage.chance);
        let error = self.happens(self.weather.error);
        let reset = self.happens(self.weather.reset);
        let (status, when) = (self.error_status(), self.when());
        let garbage = self.weather.garbage.hits(self.second.random());
        match () {
            () if gateway => Some(Mishap::Gateway),
            () if outage => Some(self.outage()),
            () if error => Some(Mishap::status(when, status, None)),
            () if reset => Some(Mishap::reset(when)),
            () if garbage => Some(Mishap::garbage(when)),
            () => None,
        }
    }

    fn outage(&self) -> Mishap {
        let pause = self.weather.outage.retry_after;
        Mishap::status(
            When::BeforeEffect,
            StatusCode::SERVICE_UNAVAILABLE,
            Some(pause),
        )
    }

    fn when(&mut self) -> When {
        if self.coin() {
            When::BeforeEffect
        } else {
            When::AfterEffect
        }
    }

    fn transit(&mut self) -> Duration {
        let roll = self.roll();
        self.weather.latency + self.weather.jitter.mul_f64(roll)
    }

    fn error_status(&mut self) -> StatusCode {
        match self.roll() {
            roll if roll < 1.0 / 3.0 => StatusCode::INTERNAL_SERVER_ERROR,
            roll if roll < 2.0 / 3.0 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn happens(&mut self, chance: Chance) -> bool {
        chance.hits(self.roll())
    }

    fn coin(&mut self) -> bool {
        self.roll() < 0.5
    }

    fn roll(&mut self) -> f64 {
        self.generator.random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weather::{Instead, Outage, Stall};

    fn stormy() -> Weather {
        let chance = |probability| Chance::new(probability).unwrap();
        Weather::calm()
            .latency(Duration::from_millis(20))
            .jitter(Duration::from_millis(50))
            .stall(Stall::new(chance(0.1), Duration::from_millis(300)))
            .gateway(chance(0.1))
            .outage(Outage::new(chance(0.1), 2))
            .error(chance(0.1))
            .reset(chance(0.1))
    }

    fn trace(weather: Weather, seed: u64) -> Vec<Fate> {
        let mut dice = Dice::new(weather, seed);
        (0..10_000).map(|_| dice.draw()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_trace() {
        assert_eq!(trace(stormy(), 7), trace(stormy(), 7));
        assert_ne!(trace(stormy(), 7), trace(stormy(), 8));
    }

    #[test]
    fn calm_weather_does_nothing() {
        assert!(
            trace(Weather::calm(), 7)
                .iter()
                .all(|fate| *fate == Fate::default())
        );
    }

    #[test]
    fn one_setting_does_not_shift_what_another_does() {
        let stormy = trace(stormy(), 7);
        let jitter_alone = trace(Weather::calm().jitter(Duration::from_millis(50)), 7);
        let latency = Duration::from_millis(20);
        let unstalled = |fate: &Fate| fate.way_in < Duration::from_millis(300);
        for (with, without) in stormy
            .iter()
            .zip(&jitter_alone)
            .filter(|(with, _)| unstalled(with))
        {
            assert_eq!(with.way_in, without.way_in + latency);
        }
    }

    #[test]
    fn delays_stay_within_latency_and_jitter_in_both_directions() {
        let weather = Weather::calm()
            .latency(Duration::from_millis(20))
            .jitter(Duration::from_millis(50));
        let fates = trace(weather, 7);
        for way in fates.iter().flat_map(|fate| [fate.way_in, fate.way_out]) {
            assert!(
                (Duration::from_millis(20)..Duration::from_millis(70)).contains(&way),
                "{way:?}"
            );
        }
        let late = fates
            .iter()
            .filter(|fate| fate.way_in > Duration::from_millis(45))
            .count();
        assert!(
            (4_800..5_200).contains(&late),
            "{late} of 10,000 in the upper half"
        );
    }

    #[test]
    fn stalls_strike_as_often_as_they_should_in_either_direction() {
        let stall = Stall::new(Chance::new(0.1).unwrap(), Duration::from_millis(300));
        let fates = trace(Weather::calm().stall(stall), 7);
        let stalled =
            |way: fn(&Fate) -> Duration| fates.iter().filter(|fate| !way(fate).is_zero()).count();
        let (way_in, way_out) = (stalled(|fate| fate.way_in), stalled(|fate| fate.way_out));
        assert!(
            (400..600).contains(&way_in) && (400..600).contains(&way_out),
            "{way_in} in, {way_out} out"
        );
    }

    #[track_caller]
    fn check(weather: Weather, is_it: impl Fn(&Mishap) -> bool) {
        let fates = trace(weather, 7);
        let struck = fates.iter().filter_map(|fate| fate.mishap.as_ref());
        let (hits, others): (Vec<&Mishap>, Vec<&Mishap>) = struck.partition(|mishap| is_it(mishap));
        assert!(
            (900..1_100).contains(&hits.len()) && others.is_empty(),
            "{} and {}",
            hits.len(),
            others.len()
        );
    }

    #[test]
    fn every_mishap_strikes_as_often_as_it_should() {
        let chance = Chance::new(0.1).unwrap();
        let failure = |mishap: &Mishap, is_it: fn(&Instead) -> bool| match mishap {
            Mishap::Failure(failure) => is_it(&failure.instead),
            Mishap::Gateway => false,
        };
        check(Weather::calm().gateway(chance), |mishap| {
            *mishap == Mishap::Gateway
        });
        check(Weather::calm().reset(chance), |mishap| {
            failure(mishap, |instead| *instead == Instead::Reset)
        });
        check(Weather::calm().error(chance), |mishap| {
            failure(mishap, |instead| {
                matches!(
                    instead,
                    Instead::Status {
                        retry_after: None,
                        ..
                    }
                )
            })
        });
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let outage = Mishap::status(When::BeforeEffect, unavailable, Some(2));
        check(Weather::calm().outage(Outage::new(chance, 2)), |mishap| {
            *mishap == outage
        });
    }

    /// How many of 10,000 requests meet exactly this mishap.
    fn count(weather: Weather, mishap: Mishap) -> usize {
        let fates = trace(weather, 7);
        fates
            .iter()
            .filter(|fate| fate.mishap == Some(mishap))
            .count()
    }

    #[test]
    fn resets_strike_before_and_after_the_effect_evenly() {
        for when in [When::BeforeEffect, When::AfterEffect] {
            let struck = count(Weather::calm().reset(Chance::ALWAYS), Mishap::reset(when));
            assert!((4_800..5_200).contains(&struck), "{struck} {when:?}");
        }
    }

    #[test]
    fn errors_are_of_three_kinds_evenly() {
        for status in [500, 503, 504] {
            let status = StatusCode::from_u16(status).unwrap();
            let mishap = Mishap::status(When::AfterEffect, status, None);
            let struck = count(Weather::calm().error(Chance::ALWAYS), mishap);
            assert!((1_550..1_780).contains(&struck), "{struck} of {status}");
        }
    }
}
