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
    generator: Xoshiro256PlusPlus,
}

impl Dice {
    pub(crate) fn new(weather: Weather, seed: u64) -> Self {
        Self {
            weather,
            generator: Xoshiro256PlusPlus::seed_from_u64(seed),
        }
    }

    /// Draws the fate of the next request. Always makes the same number of rolls, so that a change to one setting does
    /// not shift what another one does.
    pub(crate) fn draw(&mut self) -> Fate {
        let mut way_in = self.transit();
        let mut way_out = self.transit();
        let (stalls, stalls_on_the_way_in) = (self.happens(self.weather.stall.chance), self.coin());
        if stalls {
            let stalled = if stalls_on_the_way_in {
                &mut way_in
            } else {
                &mut way_out
            };
            *stalled += self.weather.stall.length;
        }
        Fate {
            way_in,
            way_out,
            mishap: self.mishap(),
        }
    }

    fn mishap(&mut self) -> Option<Mishap> {
        let gateway = self.happens(self.weather.gateway);
        let outage = self.happens(self.weather.outage.chance);
        let error = self.happens(self.weather.error);
        let reset = self.happens(self.weather.reset);
        let status = self.error_status();
        let when = if self.coin() {
            When::BeforeEffect
        } else {
            When::AfterEffect
        };
        match () {
            () if gateway => Some(Mishap::Gateway),
            () if outage => Some(self.outage()),
            () if error => Some(Mishap::Status {
                status,
                retry_after: None,
                when,
            }),
            () if reset => Some(Mishap::Reset(when)),
            () => None,
        }
    }

    fn outage(&self) -> Mishap {
        let retry_after = Some(self.weather.outage.retry_after);
        Mishap::Status {
            status: StatusCode::SERVICE_UNAVAILABLE,
            retry_after,
            when: When::BeforeEffect,
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
    use crate::weather::{Outage, Stall};

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
        check(Weather::calm().gateway(chance), |mishap| {
            *mishap == Mishap::Gateway
        });
        check(Weather::calm().reset(chance), |mishap| {
            matches!(mishap, Mishap::Reset(_))
        });
        check(Weather::calm().error(chance), |mishap| {
            matches!(
                mishap,
                Mishap::Status {
                    retry_after: None,
                    ..
                }
            )
        });
        check(Weather::calm().outage(Outage::new(chance, 2)), |mishap| {
            matches!(
                mishap,
                Mishap::Status {
                    retry_after: Some(2),
                    when: When::BeforeEffect,
                    ..
                }
            )
        });
    }

    #[test]
    fn errors_and_resets_strike_before_and_after_the_effect() {
        let fates = trace(Weather::calm().reset(Chance::ALWAYS), 7);
        let before = fates
            .iter()
            .filter(|fate| fate.mishap == Some(Mishap::Reset(When::BeforeEffect)))
            .count();
        assert!(
            (4_800..5_200).contains(&before),
            "{before} of 10,000 before the effect"
        );
    }
}
