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

/// RFC 9651, section 4.2: what comes in two lines means what it means in one.
#[test]
fn the_lines_of_a_field_are_one_list() {
    let lines = [
        ("ratelimit-policy", r#""burst";q=20;w=1"#),
        ("ratelimit-policy", r#""daily";q=1000000;w=86400"#),
        ("ratelimit", r#""burst";r=3;t=1"#),
        ("ratelimit", r#""daily";r=9;t=600"#),
    ];
    check_policies(&lines, &[(20, 1), (1_000_000, 86_400)]);
    check(&lines, &[(Some(20), 3, 1), (Some(1_000_000), 9, 600)]);
    check(
        &[
            ("ratelimit", "limit=100"),
            ("ratelimit", "remaining=50, reset=30"),
        ],
        &[(Some(100), 50, 30)],
    );
    check(
        &[
            ("ratelimit", "remaining=50, reset=30"),
            ("ratelimit", "remaining=5"),
        ],
        &[(None, 5, 30)],
    );
    check_policies(
        &[
            ("ratelimit-limit", "10, 10;w=1"),
            ("ratelimit-limit", "50;w=60"),
        ],
        &[(10, 1), (50, 60)],
    );
    let cached = [("age", "0"), ("age", "3"), ("ratelimit", r#""a";r=5;t=30"#)];
    check(&cached, &[]);
}

/// As where a gateway adds its own fields to those of the server behind it.
#[test]
fn fields_for_one_number_that_come_twice_are_two_budgets() {
    let lines = [
        ("x-ratelimit-limit", "100"),
        ("x-ratelimit-limit", "1000"),
        ("x-ratelimit-remaining", "5"),
        ("x-ratelimit-remaining", "900"),
        ("x-ratelimit-reset", "Fri, 29 Sep 2023 16:27:07 GMT"),
        ("x-ratelimit-reset", "3600"),
    ];
    let budgets = [(Some(100), 5, 30), (Some(1_000), 900, 3_600)];
    check(&lines, &budgets);
    check(
        &[
            ("x-ratelimit-limit", "100, 1000"),
            ("x-ratelimit-remaining", "5, 900"),
            ("x-ratelimit-reset", "Fri, 29 Sep 2023 16:27:07 GMT, 3600"),
        ],
        &budgets,
    );
    check(
        &[
            ("x-ratelimit-remaining", "5"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "30"),
        ],
        &[(None, 5, 30), (None, 0, 30)],
    );
    check(
        &[
            ("ratelimit-limit", "10;w=1"),
            ("ratelimit-remaining", "5"),
            ("ratelimit-reset", "30"),
        ],
        &[(Some(10), 5, 30)],
    );
}

#[test]
fn lines_are_bounded_too() {
    let fields = [
        "ratelimit-policy",
        "ratelimit-limit",
        "x-ratelimit-limit-day",
    ];
    let many: Vec<_> = (0..1_000).map(|n| (fields[n % 3], "1;w=1")).collect();
    assert_eq!(read(&many).allotments.len(), MOST);
}
