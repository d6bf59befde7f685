//! Whatever a server writes into its fields, reading it neither panics nor gives what is out of bounds.
//!
//! The modules hold what must be true of any bytes: here it is played with bytes near the grammar, and by the fuzz
//! targets of `crates/fuzz` with those that reach the most code.

mod limit_fields;
mod retry_after;

use std::time::{Duration, SystemTime};

use proptest::collection::vec;
use proptest::prelude::*;

use retry_after::LAST;

/// A field by the number of its name, and its value.
type Field = (u8, Vec<u8>);

/// Values near those that servers send, and any bytes.
fn fields() -> impl Strategy<Value = Vec<Field>> {
    let near = r#"("?[a-c]"?(;[rtqw]=[0-9]{0,22}|;pk=:[a-z=]*:|=[0-9:TZ.+-]*)*[,; ]{0,2}){0,6}"#;
    let value = prop_oneof![near.prop_map(String::into_bytes), any::<Vec<u8>>()];
    vec((any::<u8>(), value), 0..4)
}

/// A number, or nearly.
fn near_a_number() -> impl Strategy<Value = Vec<u8>> {
    "[ \t]?[0-9]{1,24}[ \t,.+smh-]?[0-9]?".prop_map(String::into_bytes)
}

/// A date in one of its forms, of which up to two bytes are overwritten.
fn near_a_date() -> impl Strategy<Value = Vec<u8>> {
    let written = (0..=LAST).prop_map(|seconds| {
        httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    });
    let other = "(Sunday, [0-3][0-9]-Nov-[0-9]{2} 0[0-9]:49:(37|60) GMT|Sun Nov [ 1-3][0-9] 08:49:(37|60) 199[0-9])";
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

proptest! {
    #[test]
    fn no_value_of_a_limit_field_breaks_a_bound(fields in fields()) {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, &**value)).collect();
        limit_fields::check(&fields);
    }

    #[test]
    fn no_value_of_retry_after_breaks_a_bound(
        value in prop_oneof![any::<Vec<u8>>(), near_a_number(), near_a_date()],
        now in 0..=LAST,
    ) {
        retry_after::check(&value, now);
    }
}
