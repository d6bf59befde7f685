//! Random scenes, each from a seed.

use std::time::Duration;

use pacing::{Model, Moment, Quota};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::path::{Blocks, Weather};
use crate::servers::Kind;
use crate::world::{Outcome, Scene, World};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A scene, and what is promised of it.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) scene: Scene,
    /// Nothing is refused: where the slots cover the server, and while requests arrive in time or
    /// never, and otherwise while the spread of the transit stays under the ceiling.
    pub(crate) is_promised: bool,
    requests: u64,
}

impl Case {
    /// Draws quota, server and path; the limit is 1 to 3,000 and the window 10 ms to 100 s, each
    /// evenly by its magnitude.
    pub(crate) fn random(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let limit = magnitude(1.0, 3_000.0, &mut rng) as u32;
        let (model, kind, covered) = pair(limit, &mut rng);
        let quota = quota(limit, model, &mut rng);
        let scene = Scene {
            weather: weather(&mut rng),
            patience: sometimes(0.3, &mut rng, |rng| millis(rng.random_range(20..2_000)))
                .unwrap_or(Duration::MAX),
            thinks: sometimes(0.2, &mut rng, |rng| millis(rng.random_range(0..5_000)))
                .unwrap_or(Duration::ZERO),
            slow: sometimes(0.2, &mut rng, |_| 0.05).unwrap_or(0.0),
            slow_for: millis(rng.random_range(2_000..60_000)),
            // Where requests count until they are answered, some that hang may stop everything.
            hung: sometimes(0.2, &mut rng, |_| 0.01)
                .filter(|_| quota.0 != quota.0.counted_until_answered())
                .unwrap_or(0.0),
            gateway: sometimes(0.3, &mut rng, |_| 0.5).unwrap_or(0.0),
            unsent: sometimes(0.2, &mut rng, |_| 0.1).unwrap_or(0.0),
            idle: sometimes(0.3, &mut rng, |_| 0.02).unwrap_or(0.0),
            states: rng.random_bool(0.3),
            transit: quota.1,
            drift: rng.random_range(-1.0..1.0),
            phase: rng.random(),
            seed,
            ..Scene::new(quota.0, kind)
        };
        let scene = with_costs(scene, size(model), &mut rng);
        let scene = with_changes(scene, &mut rng);
        let steady = scene.weather.stall == 0.0 && scene.weather.blocks.is_none();
        Self {
            scene,
            is_promised: covered || (steady && scene.weather.jitter <= millis(100)),
            requests: requests(&scene),
        }
    }

    /// Sends enough requests to show something, and waits for all of them to end.
    pub(crate) fn play(&self) -> Outcome {
        let mut world = World::new(self.scene);
        while world.outcome.sent < self.requests {
            world.step();
        }
        world.finish(Moment::ORIGIN)
    }
}

/// Two windows and a half, and in every twentieth scene so many that jitter is learned.
fn requests(scene: &Scene) -> u64 {
    let mean = 1.0 + f64::from(scene.heaviest - 1) / 2.0 * scene.heavy;
    let windows = (f64::from(scene.quota.limit()) * 2.5 / mean) as u64 + 60;
    match scene.seed % 20 {
        0 => windows.max(6_500),
        _ => windows,
    }
}

/// Sometimes requests cost something: a little, up to the whole limit or more, often or rarely, and
/// sometimes less than was thought.
fn with_costs(scene: Scene, size: u32, rng: &mut SmallRng) -> Scene {
    let most = scene.quota.limit().min(size);
    let heaviest = match rng.random_range(0..6) {
        0 => rng.random_range(1..=most.div_ceil(4)),
        1 => rng.random_range(1..=most),
        2 => rng.random_range(most..=most.saturating_mul(2)),
        _ => return scene,
    };
    Scene {
        heaviest,
        heavy: [1.0, 0.1, 0.01][rng.random_range(0..3)],
        estimated: sometimes(0.3, rng, |_| 0.5).unwrap_or(0.0),
        ..scene
    }
}

/// Sometimes the quota changes again and again, and the server's limit with it or not, where the
/// slots keep it.
fn with_changes(scene: Scene, rng: &mut SmallRng) -> Scene {
    let keeps = matches!(scene.kind, Kind::SlidingLog | Kind::FixedWindow);
    let changes = sometimes(0.4, rng, |_| 0.03).filter(|_| keeps);
    Scene {
        changes: changes.unwrap_or(0.0),
        follows: rng.random_bool(0.5),
        ..scene
    }
}

/// Sometimes there is a burst, sometimes a second limit, which the server does not hold, and
/// sometimes the path takes longer than usual, or less. Returns the longest transit, too.
fn quota(limit: u32, model: Model, rng: &mut SmallRng) -> (Quota, Duration) {
    let window = Duration::from_secs_f64(magnitude(0.01, 100.0, rng));
    let quota = Quota::new(limit, window).expect("neither is zero");
    let quota = quota.model(model).expect("drawn so that it holds");
    let most = match model {
        Model::Unknown => (limit / 2).max(1),
        _ => limit.min(size(model)),
    };
    let burst = sometimes(0.2, rng, |rng| rng.random_range(1..=most));
    let quota = burst
        .map_or(Ok(quota), |burst| quota.burst(burst))
        .expect("drawn so that it holds");
    let longer = Quota::new(limit.saturating_mul(4), window * 5).expect("neither is zero");
    let second = Duration::from_secs(1);
    let quota = match rng.random_range(0..8) {
        0 => quota.and(longer).expect("two limits fit"),
        1 => quota.unused_at_start(),
        2 => quota.counted_until_answered(),
        _ => quota,
    };
    let transit = match rng.random_range(0..8) {
        // Longer than any two stalls or blocks: nothing is lost, and so everything is answered.
        _ if quota == quota.counted_until_answered() => second * 12,
        0 => second * 12,
        1 => second / 4,
        _ => second,
    };
    (quota.max_transit(transit), transit)
}

/// Returns a model, a server that it holds for, and whether the slots cover that.
fn pair(limit: u32, rng: &mut SmallRng) -> (Model, Kind, bool) {
    let size = magnitude(1.0, f64::from(limit) * 2.0, rng) as u32;
    let refill = rng.random_range(1..=limit);
    let whole = Kind::TokenBucket {
        size: limit,
        refill: limit,
    };
    match rng.random_range(0..10) {
        0 => (Model::Unknown, Kind::SlidingLog, true),
        1 => (Model::Unknown, Kind::FixedWindow, true),
        2 => (Model::Unknown, whole, true),
        3 | 4 => (Model::Unknown, Kind::SlidingCounter, false),
        5 => (Model::Unknown, Kind::StrictCounter, false),
        6 => (Model::SlidingLog, Kind::SlidingLog, true),
        7 => (Model::FixedWindow, Kind::FixedWindow, true),
        8 => (Model::SlidingLog, whole, true),
        _ => (
            Model::TokenBucket { size, refill },
            Kind::TokenBucket { size, refill },
            false,
        ),
    }
}

fn size(model: Model) -> u32 {
    match model {
        Model::TokenBucket { size, .. } => size,
        _ => u32::MAX,
    }
}

/// From a loopback to a path that stalls for longer than the window.
fn weather(rng: &mut SmallRng) -> Weather {
    let least = millis(rng.random_range(0..50));
    let jitter = millis(magnitude(1.0, 100.0, rng).ceil() as u64);
    let calm = Weather {
        least,
        jitter,
        ..Weather::CALM
    };
    match rng.random_range(0..4) {
        0 | 1 => calm,
        2 => Weather {
            stall: rng.random_range(0.0..0.1),
            stalled: millis(rng.random_range(1..3_000)),
            ..calm
        },
        _ => Weather {
            blocks: Some(Blocks {
                every: millis(rng.random_range(500..10_000)),
                least: millis(200),
                most: millis(rng.random_range(200..5_000)),
            }),
            ..calm
        },
    }
}

fn magnitude(least: f64, most: f64, rng: &mut SmallRng) -> f64 {
    rng.random_range(least.ln()..=most.ln()).exp()
}

fn sometimes<T>(share: f64, rng: &mut SmallRng, draw: impl Fn(&mut SmallRng) -> T) -> Option<T> {
    rng.random_bool(share).then(|| draw(rng))
}
