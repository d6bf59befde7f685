//! Numbers with their nouns.

use std::time::Duration;

/// Writes a number with its noun: `1 retry`, `2 retries`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    let noun = if count == 1 { one } else { many };
    format!("{count} {noun}")
}

/// Writes a number of records.
pub(crate) fn records(count: u64) -> String {
    counted(count, "record", "records")
}

/// Writes a number of requests.
pub(crate) fn requests(count: u64) -> String {
    counted(count, "request", "requests")
}

/// Writes a time as a person says it: `1.5 s`, `20 min`, `1 h 5 min`. From a minute on, parts of a
/// second are left out.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        return format!("{:.1} s", time.as_secs_f64());
    }
    let parts = [
        (seconds / 3600, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_two_or_three_units() {
        let check = |millis, expected| assert_eq!(time(Duration::from_millis(millis)), expected);
        check(0, "0.0 s");
        check(1_540, "1.5 s");
        check(60_999, "1 min");
        check(3_600_000, "1 h");
        check(3_905_000, "1 h 5 min 5 s");
    }

    #[test]
    fn only_one_is_singular() {
        assert_eq!(counted(1, "retry", "retries"), "1 retry");
        assert_eq!(counted(0, "retry", "retries"), "0 retries");
        assert_eq!(records(2), "2 records");
        assert_eq!(requests(1), "1 request");
    }
}
