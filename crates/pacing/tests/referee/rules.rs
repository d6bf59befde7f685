//! The rules of the window, the cap, costs and allowances, each with the figures that it promises.

use std::time::Duration;

use pacing::{Cost, Due, Feedback, Model, Moment, Pacer, Quota};

use crate::path::{Blocks, Weather};
use crate::servers::Kind;
use crate::trials::{rate_of_costs, share_of_slow_answers};
use crate::world::{Outcome, Scene, World};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn log(limit: u32) -> Quota {
    let quota = Quota::per_second(limit).model(Model::SlidingLog);
    quota.expect("the model holds")
}

/// A path of 10 to 20 ms that is blocked once, after 20 s, and lets go of everything at its end,
/// however late that is.
fn blocked_once(quota: Quota, length: Duration, patience: Duration, seed: u64) -> Outcome {
    let weather = Weather {
        once: Some((seconds(20), length)),
        ..Weather::CALM
    };
    let scene = Scene {
        weather,
        late: true,
        patience,
        seed,
        ..Scene::new(quota, Kind::SlidingLog)
    };
    scene.play(Duration::ZERO, seconds(60))
}

/// The mean of the requests that are refused after one block.
fn refused_after_block(quota: Quota, millis: u64, patience: Duration) -> f64 {
    let length = Duration::from_millis(millis);
    let runs = (0..10).map(|seed| blocked_once(quota, length, patience, seed).refused);
    runs.sum::<u64>() as f64 / 10.0
}

#[test]
fn a_block_of_the_whole_path_flushes_next_to_nothing() {
    fn check(limit: u32, millis: u64, most: f64) {
        for quota in [Quota::per_second(limit), log(limit)] {
            let refused = refused_after_block(quota, millis, Duration::MAX);
            println!("{limit}/s, {millis} ms: {refused} refused of {quota:?}");
            assert!(refused <= most, "{limit}/s, {millis} ms: {refused}");
        }
    }
    for millis in [500, 1_000, 2_000, 5_000, 10_000, 30_000] {
        check(100, millis, 0.0);
        check(1_000, millis, 0.0);
    }
    check(10, 5_000, 0.0);
    check(10, 10_000, 6.0);
    check(5, 5_000, 3.0);
    check(5, 10_000, 8.0);
    check(1, 5_000, 2.0);
    check(1, 10_000, 4.0);
}

#[test]
fn timeouts_on_a_blocked_path_are_no_answers() {
    let patience = Duration::from_millis(50);
    for millis in [2_000, 10_000] {
        assert_eq!(refused_after_block(log(100), millis, patience), 0.0);
        let quota = Quota::per_second(100);
        assert_eq!(refused_after_block(quota, millis, patience), 0.0);
    }
}

/// A timeout of 50 ms inside the limiter, and blocks of 900 ms: the requests arrive when the block
/// ends.
#[test]
fn gateways_that_give_up_on_a_blocked_path_are_no_answers() {
    let blocks = Blocks {
        every: seconds(5),
        least: Duration::from_millis(900),
        most: Duration::from_millis(900),
    };
    for gateway in [0.0, 0.5, 1.0] {
        let scene = Scene {
            weather: Weather {
                blocks: Some(blocks),
                ..Weather::CALM
            },
            patience: Duration::from_millis(50),
            gateway,
            ..Scene::new(Quota::per_second(100), Kind::SlidingLog)
        };
        let mut world = World::new(scene);
        while world.now < Moment::ORIGIN + seconds(300) {
            world.step();
        }
        let worst = busiest(&world.arrived, seconds(1));
        assert!((50..=100).contains(&worst), "{worst} at {gateway}");
    }
}

/// The most cost in any half-open window.
fn busiest(arrived: &[(Moment, u32)], window: Duration) -> u32 {
    let (mut first, mut held, mut most) = (0, 0, 0);
    for &(at, cost) in arrived {
        held += cost;
        while arrived[first].0 + window <= at {
            held -= arrived[first].1;
            first += 1;
        }
        most = most.max(held);
    }
    most
}

#[test]
fn slow_answers_cost_no_more_than_the_transit() {
    fn check(quota: Quota, slow: f64, slow_for: u64, least: f64) {
        let thinks = Duration::ZERO;
        let share = share_of_slow_answers(quota, thinks, slow, seconds(slow_for));
        println!("{slow} of answers after {slow_for} s: {share:.3} of {quota:?}");
        assert!(
            share >= least,
            "{slow} after {slow_for} s: {share} of {quota:?}"
        );
    }
    let quarter = Duration::from_millis(250);
    check(Quota::per_second(10), 1.0, 2, 0.49);
    check(Quota::per_second(10).max_transit(quarter), 1.0, 2, 0.78);
    check(Quota::per_second(10), 0.05, 30, 0.78);
    check(Quota::per_second(100), 0.05, 30, 0.88);
    check(Quota::per_second(100), 0.45, 30, 0.60);
    check(Quota::per_second(100), 1.0, 60, 0.49);
    check(log(100), 0.05, 30, 0.91);
}

#[test]
fn a_bucket_does_not_mind_slow_answers() {
    let (size, refill) = (100, 100);
    let quota = Quota::per_second(100).model(Model::TokenBucket { size, refill });
    for (slow, slow_for) in [(1.0, 2), (0.05, 30), (0.45, 30)] {
        let scene = Scene {
            slow,
            slow_for: seconds(slow_for),
            hung: 0.01,
            ..Scene::new(quota.expect("it holds"), Kind::TokenBucket { size, refill })
        };
        let outcome = scene.play(seconds(60), seconds(120));
        assert_eq!(outcome.refused, 0);
        assert!(outcome.rate >= 99.0, "{}", outcome.rate);
    }
}

#[test]
fn requests_that_hang_stop_nothing() {
    let bucket = Model::TokenBucket {
        size: 1,
        refill: 10,
    };
    for model in [Model::Unknown, Model::SlidingLog, bucket] {
        let quota = Quota::per_second(10).model(model).expect("it holds");
        let mut pacer = Pacer::new(quota);
        let mut now = Moment::ORIGIN;
        let mut leave = |pacer: &mut Pacer| {
            while let Due::At(due) = pacer.due(now) {
                now = due;
            }
            assert_eq!(pacer.due(now), Due::Now, "nothing waits for an answer");
            (pacer.depart(now), now)
        };
        for _ in 0..30 {
            let (departure, now) = leave(&mut pacer);
            pacer.answer(
                departure,
                now + Duration::from_millis(5),
                Feedback::Accepted,
            );
        }
        let hung: Vec<_> = (0..3).map(|_| leave(&mut pacer)).collect();
        let (_, next) = leave(&mut pacer);
        assert!(next.since(hung[2].1) <= seconds(2), "{model:?}: {next:?}");
    }
}

#[test]
fn a_hundredth_that_hangs_takes_less_than_a_fifth_of_the_rate() {
    for (limit, least) in [(10, 0.8), (100, 0.88)] {
        for quota in [Quota::per_second(limit), log(limit)] {
            let scene = Scene {
                hung: 0.01,
                ..Scene::new(quota, Kind::SlidingLog)
            };
            let outcome = scene.play(seconds(60), seconds(300));
            let share = outcome.rate / f64::from(limit);
            assert_eq!(outcome.refused, 0);
            assert!(share >= least, "{share} of {quota:?}");
        }
    }
}

/// All requests time out for a minute, and then the path is as it was.
#[test]
fn after_an_outage_the_next_request_leaves_within_the_transit_and_a_second() {
    // What left unproven counts as if it arrived now: before a small limit that is up to two
    // windows.
    let small = Duration::from_millis(2_250);
    for (quota, most) in [
        (Quota::per_second(100), seconds(2)),
        (Quota::per_second(1_000), seconds(2)),
        (log(100), seconds(2)),
        (log(10), seconds(2)),
        (Quota::per_second(10), small),
    ] {
        let weather = Weather {
            once: Some((seconds(20), seconds(60))),
            ..Weather::CALM
        };
        let scene = Scene {
            weather,
            patience: seconds(5),
            ..Scene::new(quota, Kind::SlidingLog)
        };
        let mut world = World::new(scene);
        while world.now < Moment::ORIGIN + seconds(120) {
            world.step();
        }
        let end = Moment::ORIGIN + seconds(80);
        let next = world.departed.iter().find(|&&sent| sent >= end);
        let waited = next.expect("requests leave again").since(end);
        assert!(waited <= most, "{waited:?} of {quota:?}");
        assert_eq!(world.outcome.refused, 0);
    }
}

/// A sequence of costs in [`Scene`]'s terms: the least and the most of a heavy request, and the
/// share of them.
const MIXES: [(u32, u32, f64); 6] = [
    (1, 1, 0.0),
    (10, 10, 0.01),
    (20, 20, 0.1),
    (50, 50, 0.1),
    (1, 100, 1.0),
    (90, 100, 0.01),
];

#[test]
fn costs_are_kept_by_every_model() {
    let bucket = |size, refill| Model::TokenBucket { size, refill };
    let kinds = [
        (Model::Unknown, Kind::SlidingCounter),
        (Model::Unknown, Kind::StrictCounter),
        (Model::SlidingLog, Kind::SlidingLog),
        (Model::FixedWindow, Kind::FixedWindow),
        (
            bucket(100, 100),
            Kind::TokenBucket {
                size: 100,
                refill: 100,
            },
        ),
    ];
    for (model, kind) in kinds {
        for seed in 0..10 {
            for (least, heaviest, heavy) in MIXES {
                let quota = Quota::per_second(100).model(model).expect("it holds");
                let scene = Scene {
                    least,
                    heaviest,
                    heavy,
                    idle: 0.02,
                    seed,
                    phase: seed as f64 / 10.0,
                    ..Scene::new(quota, kind)
                };
                let outcome = scene.play(Duration::ZERO, seconds(60));
                assert_eq!(outcome.refused, 0, "{scene:?}");
            }
        }
    }
}

/// What costs take of 100 a second: the docs of `Cost` have the whole table, and `prices` prints
/// it.
#[test]
fn the_price_of_costs_is_what_the_docs_say() {
    fn check(model: Model, kind: Kind, ceiling: u64, cost: u32, least: f64) {
        let quota = Quota::per_second(100).model(model).expect("it holds");
        let quota = quota.jitter_ceiling(Duration::from_millis(ceiling));
        let rate = rate_of_costs(quota, kind, cost, 0.1);
        assert!(rate >= least - 3.0, "{rate} of {quota:?} with {cost}");
    }
    let (size, refill) = (100, 100);
    let models = [
        (
            Model::Unknown,
            Kind::SlidingLog,
            100,
            [90.0, 82.0, 73.0, 45.0],
        ),
        (
            Model::Unknown,
            Kind::SlidingLog,
            2,
            [98.0, 90.0, 80.0, 50.0],
        ),
        (
            Model::SlidingLog,
            Kind::SlidingLog,
            100,
            [99.0, 93.0, 87.0, 61.0],
        ),
        (
            Model::TokenBucket { size, refill },
            Kind::TokenBucket { size, refill },
            100,
            [100.0, 99.0, 98.0, 94.0],
        ),
    ];
    for (model, kind, ceiling, least) in models {
        for (cost, least) in [1, 10, 20, 50].into_iter().zip(least) {
            check(model, kind, ceiling, cost, least);
        }
    }
}

/// GitHub's kind: 5,000 an hour in fixed windows, of which this one ends in 20 minutes.
fn github(one_way: u64, used: u32) -> World {
    let hourly = Quota::per_hour(5_000);
    let scene = Scene {
        weather: Weather {
            least: Duration::from_millis(one_way),
            jitter: Duration::ZERO,
            ..Weather::CALM
        },
        phase: 2.0 / 3.0,
        states: true,
        used,
        ..Scene::new(hourly, Kind::FixedWindow)
    };
    World::new(scene)
}

fn left_after(world: &mut World, requests: usize) -> f64 {
    while world.departed.len() < requests {
        world.step();
    }
    let last = world.departed[requests - 1];
    last.since(Moment::ORIGIN).as_secs_f64()
}

#[test]
fn a_stated_allowance_is_used_at_once_and_not_exceeded() {
    fn check(one_way: u64, used: u32, requests: usize, most: f64) {
        let mut world = github(one_way, used);
        let left = left_after(&mut world, requests);
        println!("{requests} by {left:.2} s at {one_way} ms, {used} used by others");
        assert!(left <= most, "{requests} by {left} s at {one_way} ms");
        assert_eq!(world.outcome.refused, 0);
    }
    check(5, 0, 20, 0.32);
    check(150, 0, 20, 0.92);
    check(5, 0, 5_000, 53.0);
    check(150, 0, 5_000, 56.0);
    check(5, 0, 6_000, 1_213.0);
    check(150, 0, 6_000, 1_214.0);
    check(5, 1_200, 3_800, 41.0);
}

#[test]
fn a_server_that_states_more_than_is_configured_lets_no_more_leave() {
    let scene = Scene {
        real: Quota::per_hour(15_000),
        states: true,
        ..Scene::new(Quota::per_hour(5_000), Kind::FixedWindow)
    };
    let mut world = World::new(scene);
    while world.now < Moment::ORIGIN + seconds(3 * 3_600) {
        world.step();
    }
    // The server's windows: the first one has lasted for a quarter of an hour.
    let mut windows = [0; 4];
    for &(at, cost) in &world.arrived {
        let at = at.since(Moment::ORIGIN).as_secs() + 900;
        windows[usize::try_from(at / 3_600).expect("hours are few")] += cost;
    }
    assert!(windows.iter().all(|&used| used <= 5_000), "{windows:?}");
    assert!(windows[1] >= 4_500, "{windows:?}");
}

/// The fields may mean something else: what remains never changes.
#[test]
fn a_remaining_that_never_changes_lets_few_more_leave() {
    let mut pacer = Pacer::new(Quota::per_hour(5_000));
    let budget = pacing::fields::Budget {
        limit: Some(5_000),
        remaining: 4_999,
        reset: seconds(3_600),
    };
    let (mut now, mut left) = (Moment::ORIGIN, 0);
    while now < Moment::ORIGIN + seconds(3_600) {
        match pacer.due(now) {
            Due::At(due) => now = due,
            Due::OnAnswer => unreachable!("all are answered"),
            Due::Now => {
                let departure = pacer.depart(now);
                left += 1;
                pacer.answer_with(departure, now, Feedback::Accepted, &[budget]);
            }
        }
    }
    assert!(left <= 5_200, "{left}");
}

#[test]
fn a_429_that_states_nothing_remaining_waits_for_the_reset() {
    fn check(quota: Quota, retry_after: Option<u64>, reset: u64, opens: u64) {
        let mut pacer = Pacer::new(quota);
        let now = Moment::ORIGIN + seconds(10);
        let _ = pacer.due(Moment::ORIGIN);
        let departure = pacer.depart(now);
        let budget = pacing::fields::Budget {
            limit: None,
            remaining: 0,
            reset: seconds(reset),
        };
        let feedback = Feedback::Refused(retry_after.map(seconds));
        pacer.answer_with(departure, now, feedback, &[budget]);
        let closed = pacer.open_from().since(now);
        assert_eq!(closed.as_secs(), opens, "{reset} {retry_after:?}");
    }
    let hourly = Quota::per_hour(5_000);
    let daily = Quota::new(10_000, seconds(86_400)).expect("neither is zero");
    check(hourly, None, 300, 301);
    check(hourly, Some(30), 300, 30);
    check(daily, None, 72_000, 72_001);
    check(daily, None, 200_000, 86_443);
    check(Quota::per_second(10), None, 300, 1);
}

#[test]
fn restarts_refuse_nothing() {
    let hourly = Quota::per_hour(5_000);
    let second = Quota::per_second(100);
    let scenes = [(hourly, 14_000), (hourly, 73_000), (hourly, 600_000)];
    let short = [300, 700, 1_900, 7_300].map(|millis| (second, millis));
    for (quota, millis) in scenes.into_iter().chain(short) {
        for kind in [Kind::SlidingLog, Kind::FixedWindow, Kind::SlidingCounter] {
            let scene = Scene {
                restarts: Some(Duration::from_millis(millis)),
                ..Scene::new(quota, kind)
            };
            let time = (quota.window() * 4).max(seconds(60));
            let outcome = scene.play(Duration::ZERO, time);
            assert_eq!(
                outcome.refused, 0,
                "{millis} ms before {kind:?}: {outcome:?}"
            );
        }
    }
}

#[test]
fn an_unused_limit_gives_its_burst_at_once() {
    fn check(quota: Quota, requests: usize, most: f64) {
        let scene = Scene {
            weather: Weather {
                least: Duration::from_millis(5),
                jitter: Duration::ZERO,
                ..Weather::CALM
            },
            ..Scene::new(quota.unused_at_start(), Kind::FixedWindow)
        };
        let mut world = World::new(scene);
        let left = left_after(&mut world, requests);
        println!("{requests} by {left:.2} s of {quota:?}");
        assert!(left <= most, "{requests} by {left}: {quota:?}");
        assert_eq!(world.outcome.refused, 0);
    }
    let hourly = Quota::per_hour(5_000);
    let whole = hourly
        .model(Model::FixedWindow)
        .and_then(|quota| quota.burst(5_000));
    check(hourly, 20, 0.011);
    check(hourly, 5_000, 3_603.0);
    check(whole.expect("it holds"), 20, 0.011);
    check(whole.expect("it holds"), 5_000, 0.021);
}

#[test]
fn a_cost_is_known_to_nobody_but_the_server_until_it_is_settled() {
    let mut pacer = Pacer::new(Quota::per_second(100));
    let _ = pacer.due(Moment::ORIGIN);
    let now = Moment::ORIGIN + seconds(10);
    let departure = pacer.depart_with(Cost::of(40), now);
    assert_eq!((pacer.in_flight(), pacer.counted(now)), (40, 40));
    let cheaper = pacer.settle(departure, Cost::of(5), now);
    assert_eq!((pacer.in_flight(), pacer.counted(now)), (5, 5));
    let dearer = pacer.settle(cheaper, Cost::of(70), now);
    assert_eq!((pacer.in_flight(), pacer.counted(now)), (70, 70));
    let Due::At(next) = pacer.due(now) else {
        panic!("70 take their time")
    };
    assert!(next.since(now) > Duration::from_millis(600));
    pacer.answer(dearer, now, Feedback::Accepted);
    assert_eq!((pacer.in_flight(), pacer.counted(now)), (0, 70));
}
