use super::*;

/// The answer's own date is 1,696,004,797 seconds after 1970.
fn read(fields: &[(&str, &str)]) -> LimitFields {
    let date = [("date", "Fri, 29 Sep 2023 16:26:37 GMT")];
    let fields = date.iter().chain(fields);
    LimitFields::read(fields.map(|&(name, value)| (name, value.as_bytes())))
}

/// Budgets as (limit, remaining, seconds to the reset).
#[track_caller]
fn check(fields: &[(&str, &str)], budgets: &[(Option<u64>, u64, u64)]) {
    let said = read(fields);
    let found = said.budgets.iter();
    let found = found.map(|b| (b.limit, b.remaining, b.reset.as_secs()));
    assert_eq!(found.collect::<Vec<_>>(), budgets, "{fields:?}");
}

/// Allotments as (limit, seconds of the window).
#[track_caller]
fn check_policies(fields: &[(&str, &str)], allotments: &[(u64, u64)]) {
    let said = read(fields);
    let found = said.allotments.iter();
    let found = found.map(|a| (a.limit, a.window.as_secs()));
    assert_eq!(found.collect::<Vec<_>>(), allotments, "{fields:?}");
}

#[test]
fn ad_hoc_fields_are_read_with_any_reset() {
    for prefix in ["x-ratelimit", "x-rate-limit"] {
        for at in ["30", "1696004827", "1696004827000", "2023-09-29T16:27:07Z"] {
            let names = ["limit", "remaining", "reset"].map(|part| format!("{prefix}-{part}"));
            let [limit, remaining, reset] = names.each_ref();
            check(
                &[(limit, "100"), (remaining, "5"), (reset, at)],
                &[(Some(100), 5, 30)],
            );
        }
    }
    check_policies(
        &[
            ("x-ratelimit-limit-minute", "100"),
            ("x-ratelimit-limit-day", "1000"),
        ],
        &[(100, 60), (1_000, 86_400)],
    );
}

#[test]
fn drafts_up_to_six_have_a_field_for_each_number() {
    let numbers = [
        ("ratelimit-limit", "100"),
        ("ratelimit-remaining", "50"),
        ("ratelimit-reset", "30"),
        ("ratelimit-policy", "100;w=60, 1000;w=3600;comment=\"a, b\""),
    ];
    check(&numbers, &[(Some(100), 50, 30)]);
    check_policies(&numbers, &[(100, 60), (1_000, 3_600)]);
    check_policies(
        &[("ratelimit-limit", "10, 10;w=1, 50;w=60")],
        &[(10, 1), (50, 60)],
    );
}

#[test]
fn draft_seven_is_a_dictionary() {
    let fields = [
        ("ratelimit", "limit=100, remaining=50, reset=30"),
        ("ratelimit-policy", "100;w=60"),
    ];
    check(&fields, &[(Some(100), 50, 30)]);
    check_policies(&fields, &[(100, 60)]);
    check(&[("ratelimit", "remaining=50,reset=30")], &[(None, 50, 30)]);
}

#[test]
fn drafts_from_eight_on_are_lists() {
    let fields = [
        (
            "ratelimit-policy",
            r#""burst";q=100;w=60,"daily";q=1000;w=86400"#,
        ),
        ("ratelimit", r#""daily";r=9;t=600, "burst";r=50;t=30"#),
    ];
    check(&fields, &[(Some(1_000), 9, 600), (Some(100), 50, 30)]);
    check_policies(&fields, &[(100, 60), (1_000, 86_400)]);
    check(
        &[("ratelimit", r#""default";r=50;t=30;pk=:sdfjLJUOUH==:"#)],
        &[(None, 50, 30)],
    );
    check_policies(
        &[(
            "ratelimit-policy",
            r#""a";q=9;qu="content-bytes";w=1,"b";q=5;qu="requests";w=1"#,
        )],
        &[(5, 1)],
    );
}

/// The draft's own examples have bare tokens, and items without `r` or `t`.
#[test]
fn what_is_malformed_hides_nothing_else() {
    check(&[("ratelimit", "default;r=50;t=30")], &[(None, 50, 30)]);
    check(
        &[("ratelimit", r#""a";t=30, "b";r=1, "c";r=2;t=3, ;;,,"#)],
        &[(None, 2, 3)],
    );
    check(&[("ratelimit", r#""a";r=-1;t=30"#)], &[]);
    check(&[("ratelimit", r#""a;r=1;t=30"#)], &[]);
    check(&[("ratelimit-remaining", "5")], &[]);
    check(&[("x-ratelimit-reset", "30")], &[]);
    check_policies(
        &[("ratelimit-policy", r#"100, 100;w=x, "a";w=60, 5;w=1"#)],
        &[(5, 1)],
    );
}

#[test]
fn a_cached_answer_says_nothing_and_retry_after_has_precedence() {
    let current = ("ratelimit", r#""a";r=5;t=30"#);
    let policy = ("ratelimit-policy", r#""a";q=10;w=60"#);
    assert_eq!(
        read(&[("age", "3"), current, policy]),
        LimitFields::default()
    );
    check(&[("age", "0"), current, policy], &[(Some(10), 5, 30)]);
    check(&[("retry-after", "5"), current, policy], &[]);
    check_policies(&[("retry-after", "5"), current, policy], &[(10, 60)]);
}

#[test]
fn numbers_are_as_large_as_they_are_and_no_larger() {
    check(
        &[(
            "ratelimit",
            r#""a";r=99999999999999999999;t=99999999999999999999"#,
        )],
        &[(None, u64::MAX, u64::MAX)],
    );
}

#[test]
fn other_fields_say_nothing() {
    check(
        &[("content-length", "5"), ("x-ratelimit-used", "5"), ("", "")],
        &[],
    );
}

#[test]
fn what_is_kept_is_bounded() {
    let many = "1;w=1,".repeat(50);
    let fields = [("ratelimit-policy", &*many), ("ratelimit-limit", &many)];
    assert_eq!(read(&fields).allotments.len(), MOST);
}
