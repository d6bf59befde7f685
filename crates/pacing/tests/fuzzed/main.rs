//! No bytes in a header field make the parsers panic or return a value out of bounds.
//!
//! The modules have the properties of any bytes. This program checks them with bytes near the
//! grammar, and the fuzz targets of `crates/fuzz` with bytes that reach the most code.

mod limit_fields;
mod retry_after;

use std::time::{Duration, SystemTime};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use retry_after::LAST;

/// The number of a field's name, and the field's value.
type Field = (u8, Vec<u8>);

/// Fields with values near those that servers send, and with any bytes.
fn fields() -> impl Strategy<Value = Vec<Field>> {
    let near = r#"("?[a-c]"?(;[rtqw]=[0-9]{0,22}|;pk=:[a-z=]*:|=[0-9:TZ.+-]*)*[,; ]{0,2}){0,6}"#;
    let near = near.prop_map(String::into_bytes);
    let value = prop_oneof![near, near_a_time(), any::<Vec<u8>>()];
    vec((any::<u8>(), value), 0..4)
}

/// Text near a number.
fn near_a_number() -> impl Strategy<Value = Vec<u8>> {
    "[ \t]?[0-9]{1,24}[ \t,.+smh-]?[0-9]?".prop_map(String::into_bytes)
}

/// A date in one of its forms, with up to two bytes overwritten.
fn near_a_date() -> impl Strategy<Value = Vec<u8>> {
    let written = (0..=LAST).prop_map(|seconds| {
        httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    });
    let other = "(Sunday, [0-3][0-9]-Nov-[0-9]{2} 0[0-9]:49:(37|60) GMT|\
                 Sun Nov [ 1-3][0-9] 08:49:(37|60) 199[0-9])";
    let flaws = vec((0_usize..40, any::<u8>()), 0..=2);
    (prop_oneof![written, other], flaws).prop_map(|(date, flaws)| {
        let mut date = date.into_bytes();
        for (place, byte) in flaws {
            let place = place % date.len();
            date[place] = byte;
        }
        date
    })
}

/// Numbers at the bounds of the parts of a date, and at those of integers.
const NUMBERS: [&str; 14] = [
    "",
    "0",
    "00",
    "01",
    "23",
    "24",
    "59",
    "60",
    "1970",
    "9999",
    "2562047788015215",
    "9223372036854775807",
    "18446744073709551615",
    "99999999999999999999999999999999999999999",
];

/// Dates for a zone to be appended.
const DATES: [&str; 5] = [
    "2023-09-29T16:27:07",
    "1970-01-01 00:00:00.0000000001",
    "9999-12-31T23:59:60.9",
    "Thu, 01 Jan 1970 00:00:00 ",
    "Fri, 31 Dec 9999 23:59:60 ",
];

/// A date of RFC 3339 or an HTTP date in another zone. Any part may be absurd.
fn near_a_time() -> impl Strategy<Value = Vec<u8>> {
    let number = || select(&NUMBERS[..]);
    let any = (number(), number(), number(), number(), number(), number());
    let any = any.prop_map(|(y, mo, d, h, m, s)| format!("{y}-{mo}-{d}T{h}:{m}:{s}"));
    let date = prop_oneof![3 => select(&DATES[..]).prop_map(str::to_owned), 1 => any];
    let offset = (
        select(&["+", "-", " +"][..]),
        number(),
        select(&["", ":"][..]),
        number(),
    );
    let offset =
        offset.prop_map(|(sign, hours, colon, minutes)| format!("{sign}{hours}{colon}{minutes}"));
    let zone = prop_oneof![3 => offset, 1 => "( ?(Z|UTC|GMT))?"];
    (date, zone).prop_map(|(date, zone)| format!("{date}{zone}").into_bytes())
}

/// A list of all these, as proxies join fields.
fn near_a_list() -> impl Strategy<Value = Vec<u8>> {
    let member = prop_oneof![near_a_number(), near_a_date(), near_a_time()];
    vec(member, 0..4).prop_map(|members| members.join(b", " as &[u8]))
}

proptest! {
    #[test]
    fn no_value_of_a_limit_field_breaks_a_bound(fields in fields()) {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, &**value)).collect();
        limit_fields::check(&fields);
    }

    #[test]
    fn no_value_of_retry_after_breaks_a_bound(
        value in prop_oneof![
            any::<Vec<u8>>(),
            near_a_number(),
            near_a_date(),
            near_a_time(),
            near_a_list(),
        ],
        now in 0..=LAST,
    ) {
        retry_after::check(&value, now);
    }
}
