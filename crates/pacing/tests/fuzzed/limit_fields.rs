//! What holds for any values of the fields in which a server states its limits.

use std::time::Duration;

use pacing::fields::{Allowance, LimitFields};
use pacing::{Moment, Quota};

const NAMES: [&str; 12] = [
    "age",
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
    "x-ratelimit-reset",
];

/// The most policies, and the most budgets, that are read of one answer.
const MOST: usize = 8;

/// Reads fields, each by the number of its name and its value, and obeys them.
pub(crate) fn check(fields: &[(u8, &[u8])]) {
    let name = |number: u8| NAMES[usize::from(number) % NAMES.len()];
    let said = LimitFields::read(fields.iter().map(|&(number, value)| (name(number), value)));
    assert!(said.budgets.len() <= MOST && said.allotments.len() <= MOST);
    let quota = Quota::per_second(100);
    slows_down_and_no_further_than_to_a_20th(&said, &quota);
    closes_for_an_hour_at_most(&said, &quota);
    for (_, value) in fields {
        closes_for_an_hour_at_most(&resetting(value), &quota);
    }
}

/// Reads any value where a reset is read: the field says nothing without two others.
fn resetting(value: &[u8]) -> LimitFields {
    let date: &[u8] = b"Fri, 29 Sep 2023 16:26:37 GMT";
    let fields = [
        ("date", date),
        ("x-ratelimit-remaining", b"0"),
        ("x-ratelimit-reset", value),
    ];
    let said = LimitFields::read(fields);
    assert!(said.budgets.len() <= 1 && said.allotments.is_empty());
    said
}

fn slows_down_and_no_further_than_to_a_20th(said: &LimitFields, quota: &Quota) {
    let Some(slower) = said.slower_than(quota) else {
        return;
    };
    assert!(slower.spacing() > quota.spacing());
    assert!(slower.spacing() <= quota.spacing() * 20);
}

fn closes_for_an_hour_at_most(said: &LimitFields, quota: &Quota) {
    let now = Moment::ORIGIN + Duration::from_secs(1);
    let mut allowance = Allowance::default();
    for budget in &said.budgets {
        allowance.note(budget, quota, 0, 0, now);
        assert!(allowance.open_from() <= now + Duration::from_secs(3_600));
    }
}
