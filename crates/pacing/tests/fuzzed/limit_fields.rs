//! Properties of any values of the fields in which a server states its limits.

use std::time::Duration;

use pacing::fields::LimitFields;
use pacing::{Due, Feedback, Limiter, Moment, Quota};

const NAMES: [&str; 16] = [
    "age",
    "anthropic-ratelimit-tokens-reset",
    "date",
    "ratelimit",
    "ratelimit-limit",
    "ratelimit-policy",
    "ratelimit-remaining",
    "ratelimit-reset",
    "retry-after",
    "x-rate-limit-limit",
    "x-ratelimit-limit-minute",
    "x-ratelimit-remaining",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
];

/// The most policies, and the most limits, that are read from one response.
const MOST: usize = 8;

/// Reads fields, each as the number of its name and its value, and obeys them.
pub(crate) fn check(fields: &[(u8, &[u8])]) {
    let name = |number: u8| NAMES[usize::from(number) % NAMES.len()];
    let stated = LimitFields::read(fields.iter().map(|&(number, value)| (name(number), value)));
    assert!(stated.limits.len() <= MOST && stated.policies.len() <= MOST);
    let quota = Quota::per_second(100);
    check_that_requests_slow_down_to_a_20th_at_most(&stated, &quota);
    check_that_the_gate_closes_for_an_hour_at_most(&stated, &quota);
    for (_, value) in fields {
        check_that_the_gate_closes_for_an_hour_at_most(&with_reset(value), &quota);
    }
}

/// Reads a value as a reset. The field counts only beside two others.
fn with_reset(value: &[u8]) -> LimitFields {
    let date: &[u8] = b"Fri, 29 Sep 2023 16:26:37 GMT";
    let fields = [
        ("date", date),
        ("x-ratelimit-remaining", b"0"),
        ("x-ratelimit-reset", value),
    ];
    let stated = LimitFields::read(fields);
    assert!(stated.limits.len() <= 1 && stated.policies.is_empty());
    stated
}

fn check_that_requests_slow_down_to_a_20th_at_most(stated: &LimitFields, quota: &Quota) {
    let Some(slower) = stated.slower_than(quota) else {
        return;
    };
    assert!(slower.spacing() > quota.spacing());
    assert!(slower.spacing() <= quota.spacing() * 20);
}

fn check_that_the_gate_closes_for_an_hour_at_most(stated: &LimitFields, quota: &Quota) {
    let hour = Duration::from_secs(3_600);
    for quota in [*quota, Quota::per_hour(5_000)] {
        for feedback in [
            Feedback::Accepted,
            Feedback::Failed,
            Feedback::Throttled(None),
        ] {
            let mut limiter = Limiter::new(quota);
            let mut now = Moment::ORIGIN;
            let Due::At(first) = limiter.due(now) else {
                unreachable!("the first request waits")
            };
            let departure = limiter.depart(first);
            now = first + Duration::from_millis(5);
            limiter.answer_with(departure, now, feedback, &stated.limits);
            let longest = quota.counted_window().max(hour) + Duration::from_secs(1);
            assert!(limiter.closed_until() <= now + longest);
            match limiter.due(now) {
                Due::Now => {}
                Due::At(due) => assert!(due <= now + hour + hour, "{due:?}"),
                Due::OnAnswer => panic!("nothing is in flight"),
            }
        }
    }
}
