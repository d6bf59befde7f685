use super::*;
use crate::Cost;

/// The answer's own date is 1,696,004,797 seconds after 1970.
fn read(fields: &[(&str, &str)]) -> LimitFields {
    let date = [("date", "Fri, 29 Sep 2023 16:26:37 GMT")];
    let fields = date.iter().chain(fields);
    LimitFields::read(fields.map(|&(name, value)| (name, value.as_bytes())))
}

/// Checks the limits as (limit, remaining, seconds to the reset).
#[track_caller]
fn check(fields: &[(&str, &str)], expected: &[(Option<u64>, u64, u64)]) {
    let stated = read(fields);
    let found = stated.limits.iter();
    let found = found.map(|b| (b.limit, b.remaining, b.reset.as_secs()));
    assert_eq!(found.collect::<Vec<_>>(), expected, "{fields:?}");
}

/// Checks the policies as (limit, seconds of the window).
#[track_caller]
fn check_policies(fields: &[(&str, &str)], expected: &[(u64, u64)]) {
    let stated = read(fields);
    let found = stated.policies.iter();
    let found = found.map(|a| (a.limit, a.window.as_secs()));
    assert_eq!(found.collect::<Vec<_>>(), expected, "{fields:?}");
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
fn the_apis_of_language_models_state_requests_and_tokens() {
    let openai = [
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-limit-tokens", "150000"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-remaining-tokens", "149984"),
        ("x-ratelimit-reset-requests", "120ms"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ];
    let anthropic = [
        ("anthropic-ratelimit-requests-limit", "60"),
        ("anthropic-ratelimit-requests-remaining", "59"),
        ("anthropic-ratelimit-requests-reset", "2023-09-29T16:26:38Z"),
        ("anthropic-ratelimit-tokens-limit", "150000"),
        ("anthropic-ratelimit-tokens-remaining", "149984"),
        ("anthropic-ratelimit-tokens-reset", "2023-09-29T16:32:37Z"),
        // Tokens of one kind are a part of the others.
        ("anthropic-ratelimit-input-tokens-limit", "7"),
        ("anthropic-ratelimit-input-tokens-remaining", "7"),
        (
            "anthropic-ratelimit-input-tokens-reset",
            "2023-09-29T16:32:37Z",
        ),
    ];
    for (fields, reset) in [(&openai[..], 120), (&anthropic[..], 1_000)] {
        assert!(fields.iter().all(|(name, _)| LimitFields::is_one(name)));
        let of = |limit, remaining, reset, unit| StatedLimit {
            limit: Some(limit),
            remaining,
            reset: Duration::from_millis(reset),
            unit: Some(unit),
        };
        let stated = read(fields);
        let expected = [
            of(60, 59, reset, StatedUnit::Requests),
            of(150_000, 149_984, 360_000, StatedUnit::Cost),
        ];
        assert_eq!(stated.limits, expected);
        assert_eq!(stated.policies, []);
    }
    check_policies(&[("x-ratelimit-limit-tokens", "9, 9;w=60")], &[]);
    check_policies(&[("x-ratelimit-limit-requests", "9, 9;w=60")], &[(9, 60)]);
    check(&[("anthropic-ratelimit-requests-remaining", "5")], &[]);
    check(&[("anthropic-ratelimit-limit", "5")], &[]);
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
fn malformed_members_hide_no_others() {
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
fn a_cached_response_is_ignored_and_retry_after_has_precedence() {
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
fn numbers_above_64_bits_count_as_the_largest() {
    check(
        &[(
            "ratelimit",
            r#""a";r=99999999999999999999;t=99999999999999999999"#,
        )],
        &[(None, u64::MAX, u64::MAX)],
    );
}

#[test]
fn other_fields_are_ignored() {
    check(
        &[("content-length", "5"), ("x-ratelimit-used", "5"), ("", "")],
        &[],
    );
}

#[test]
fn the_number_of_policies_is_bounded() {
    let many = "1;w=1,".repeat(50);
    let fields = [("ratelimit-policy", &*many), ("ratelimit-limit", &many)];
    assert_eq!(read(&fields).policies.len(), MOST);
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
fn number_fields_that_come_twice_are_two_limits() {
    let lines = [
        ("x-ratelimit-limit", "100"),
        ("x-ratelimit-limit", "1000"),
        ("x-ratelimit-remaining", "5"),
        ("x-ratelimit-remaining", "900"),
        ("x-ratelimit-reset", "Fri, 29 Sep 2023 16:27:07 GMT"),
        ("x-ratelimit-reset", "3600"),
    ];
    let both = [(Some(100), 5, 30), (Some(1_000), 900, 3_600)];
    check(&lines, &both);
    check(
        &[
            ("x-ratelimit-limit", "100, 1000"),
            ("x-ratelimit-remaining", "5, 900"),
            ("x-ratelimit-reset", "Fri, 29 Sep 2023 16:27:07 GMT, 3600"),
        ],
        &both,
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
fn the_number_of_lines_is_bounded() {
    let fields = [
        "ratelimit-policy",
        "ratelimit-limit",
        "x-ratelimit-limit-day",
    ];
    let many: Vec<_> = (0..1_000).map(|n| (fields[n % 3], "1;w=1")).collect();
    assert_eq!(read(&many).policies.len(), MOST);
}

#[test]
fn the_names_of_number_fields_are_parsed() {
    fn check(name: &str, expected: Option<(usize, Suffix)>) {
        let found = NumberField::parse(name).map(|field| (field.index, field.suffix));
        assert_eq!(found, expected, "{name}");
    }
    let window = |seconds| Suffix::Window(Duration::from_secs(seconds));
    check("ratelimit-limit", Some((0, Suffix::None)));
    check("x-ratelimit-remaining", Some((1, Suffix::None)));
    check("x-rate-limit-reset", Some((2, Suffix::None)));
    check("x-ratelimit-limit-minute", Some((0, window(60))));
    check("x-ratelimit-remaining-day", Some((1, window(86_400))));
    let tokens = Suffix::Unit(StatedUnit::Cost);
    check("x-ratelimit-limit-tokens", Some((0, tokens)));
    check("anthropic-ratelimit-tokens-reset", Some((2, tokens)));
    check("anthropic-ratelimit-tokens", None);
    check("x-ratelimit-limit-tokens-minute", None);
    check("x-ratelimit-used", None);
    check("ratelimit-policy", None);
    check("content-length", None);
}

/// 1,696,004,797 seconds after 1970.
const NOW: &[u8] = b"Fri, 29 Sep 2023 16:26:37 GMT";

#[test]
fn a_reset_is_parsed_in_all_its_forms() {
    fn check(text: &str, seconds: Option<u64>) {
        let expected = seconds.map(Duration::from_secs);
        assert_eq!(reset(text, parse_date(NOW)), expected, "{text:?}");
    }
    check("30", Some(30));
    check(" 0 ", Some(0));
    check("29.2", Some(30));
    check("29.0", Some(29));
    check("999999999", Some(999_999_999));
    check("1696004827", Some(30));
    check("1696004826.5", Some(30));
    check("1696004796", Some(0));
    check("1696004827000", Some(30));
    check("Fri, 29 Sep 2023 16:27:07 GMT", Some(30));
    check("Fri, 29 Sep 2023 16:27:07 UTC", Some(30));
    check("2023-09-29T16:27:07Z", Some(30));
    check("2023-09-29t18:27:06.250+02:00", Some(30));
    check("2023-09-29 14:57:07-01:30", Some(30));
    check("2023-09-29T16:27:07", Some(30));
    check("2024-02-29T00:00:00Z", Some(13_160_003));
    check("", None);
    check("soon", None);
    check("-30", None);
    check("+30", None);
    check("2023-13-01T00:00:00Z", None);
    check("2023-09-29T16:27:07Z.", None);
    check("1900-01-01T00:00:00Z", None);
    check("9999999999000", Some(8_303_995_202));
    check("99999999999999999999", Some(u64::MAX));
}

#[test]
fn an_offset_beyond_its_bounds_is_no_reset() {
    for offset in [
        "+9223372036854775807:00",
        "+00:9223372036854775807",
        "-2562047788015215:00",
        "+24:00",
        "-00:60",
    ] {
        let text = format!("2023-09-29T16:27:07{offset}");
        assert_eq!(reset(&text, parse_date(NOW)), None, "{text:?}");
    }
}

#[test]
fn a_reset_that_is_a_date_is_ignored_without_a_date_header() {
    assert_eq!(reset("1696004827", None), None);
    assert_eq!(reset("2023-09-29T16:27:07Z", None), None);
    assert_eq!(reset("30", None), Some(Duration::from_secs(30)));
}

fn slower(limit: u64, seconds: u64) -> Option<(u32, Duration)> {
    let stated = LimitFields {
        policies: vec![StatedPolicy {
            limit,
            window: Duration::from_secs(seconds),
        }],
        ..LimitFields::default()
    };
    let quota = stated.slower_than(&Quota::per_second(100))?;
    Some((quota.limit(), quota.window()))
}

#[test]
fn a_stated_policy_of_requests_keeps_a_configured_limit_of_records() {
    let records = Quota::per_second(10_000);
    let configured = Quota::per_second(100).by_request().and(records).unwrap();
    let stated = LimitFields {
        policies: vec![StatedPolicy {
            limit: 50,
            window: Duration::from_secs(1),
        }],
        ..LimitFields::default()
    };
    let quota = stated.slower_than(&configured).unwrap();
    assert_eq!((quota.limit(), quota.units(Cost::of(500))), (50, Cost::ONE));
    assert!(quota.fits(Cost::of(10_000)).is_ok() && quota.fits(Cost::of(10_001)).is_err());
}

#[test]
fn a_stated_policy_is_obeyed_if_it_is_slower_and_not_absurd() {
    let stated = |limit, seconds| Some((limit, Duration::from_secs(seconds)));
    assert_eq!(slower(50, 1), stated(50, 1));
    assert_eq!(slower(600, 60), stated(600, 60));
    assert_eq!(slower(100, 1), None);
    assert_eq!(slower(1_000, 1), None);
    assert_eq!(slower(u64::MAX, 1), None);
    assert_eq!(slower(1, 60), None);
    assert_eq!(slower(0, 1), None);
    assert_eq!(slower(50, 0), None);
    assert_eq!(slower(500_000, 86_400), None);
}

#[test]
fn a_stated_policy_counts_in_the_unit_of_the_configured_limit() {
    let stated = LimitFields {
        policies: vec![StatedPolicy {
            limit: 50,
            window: Duration::from_secs(1),
        }],
        ..LimitFields::default()
    };
    let configured = Quota::per_second(100);
    for (configured, fits) in [(configured, false), (configured.by_request(), true)] {
        let quota = stated.slower_than(&configured).unwrap();
        assert_eq!(quota.fits(Cost::of(51)).is_ok(), fits);
    }
}

#[test]
fn the_slowest_of_several_policies_counts() {
    let policy = |limit| StatedPolicy {
        limit,
        window: Duration::from_secs(1),
    };
    let stated = LimitFields {
        policies: vec![policy(50), policy(20), policy(80)],
        ..LimitFields::default()
    };
    let quota = stated.slower_than(&Quota::per_second(100)).unwrap();
    assert_eq!(quota.limit(), 20);
}
