//! How numbers, durations and file names are written for people.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// Formats a number with its noun: `1 retry`, `2 retries`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    let noun = if count == 1 { one } else { many };
    format!("{count} {noun}")
}

/// Formats a number of records.
pub(crate) fn records(count: u64) -> String {
    counted(count, "record", "records")
}

/// Formats a number of requests.
pub(crate) fn requests(count: u64) -> String {
    counted(count, "request", "requests")
}

/// Formats a duration: `1.5 s`, `20 min`, `1 h 5 min 5 s`. Fractions of a second are left out from
/// a minute on.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        return format!("{:.1} s", duration.as_secs_f64());
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

/// Formats an estimate in at most two units: `120 ms`, `1.5 s`, `3 min 21 s`, `2 h 5 min`.
pub(crate) fn estimate(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    match seconds {
        _ if duration < Duration::from_secs(1) => format!("{} ms", duration.as_millis()),
        0..10 => format!("{} s", (duration.as_secs_f64() * 10.0).round() / 10.0),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Formats a duration in whole numbers of at most `units` units, rounded up: `1 s`, `12 min`,
/// `2 h 5 min`, `3 d`.
pub(crate) fn whole(duration: Duration, units: usize) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let seconds = duration.as_millis().div_ceil(1_000);
    let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
    let first = UNITS.iter().position(|(size, _)| seconds >= *size);
    let first = first.unwrap_or(UNITS.len() - 1);
    // From a minute on, seconds are noise.
    let last = (first + units).min(if seconds < 60 { 4 } else { 3 });
    let smallest = UNITS[last - 1].0;
    let mut rest = seconds.div_ceil(smallest).saturating_mul(smallest);
    if first > 0 && rest >= UNITS[first - 1].0 {
        // Rounded up to the next unit: 59 min 59 s are 1 h, and not 60 min.
        return whole(Duration::from_secs(rest), units);
    }
    let mut parts = Vec::new();
    for (size, unit) in &UNITS[first..last] {
        let count = rest / size;
        rest %= size;
        if count > 0 || parts.is_empty() && *size == smallest {
            parts.push(format!("{count} {unit}"));
        }
    }
    parts.join(" ")
}

/// Formats a rate in whole numbers, in the unit in which it is at least 1: `9,998/s`, `6/min`.
pub(crate) fn rate(per_second: f64) -> String {
    let units = [(1.0, "s"), (60.0, "min"), (3_600.0, "h")];
    let fits = units.iter().find(|(size, _)| per_second * size >= 1.0);
    let (size, unit) = fits.unwrap_or(&units[2]);
    format!("{}/{unit}", grouped((per_second * size).round() as u64))
}

/// Formats a number in groups of three digits: `20,093`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number, from `least` on in whole thousands or millions, rounded down: `9999`, `12k`,
/// `3M`.
pub(crate) fn rounded(number: u64, least: u64) -> String {
    match number {
        _ if number < least => number.to_string(),
        0..1_000_000 => format!("{}k", number / 1_000),
        _ => format!("{}M", number / 1_000_000),
    }
}

/// Formats the path of a file, escaped. Bytes that are not UTF-8 become `\xff`.
pub(crate) fn path(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text += &escaped(chunk.valid());
        for byte in chunk.invalid() {
            write!(text, r"\x{byte:02x}").expect("writing to a string succeeds");
        }
    }
    text
}

/// Escapes characters that a terminal obeys or does not show. Quotes and backslashes stay: they are
/// common in file names, and harmless.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '\'' | '"' | '\\' => escaped.push(letter),
            letter => escaped.extend(letter.escape_debug()),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        assert_eq!(counted(1, "retry", "retries"), "1 retry");
        assert_eq!(counted(0, "retry", "retries"), "0 retries");
        assert_eq!(records(2), "2 records");
        assert_eq!(requests(1), "1 request");
    }

    #[test]
    fn durations_have_up_to_three_units() {
        let check =
            |millis, expected| assert_eq!(duration(Duration::from_millis(millis)), expected);
        check(0, "0.0 s");
        check(1_540, "1.5 s");
        check(60_999, "1 min");
        check(3_600_000, "1 h");
        check(3_905_000, "1 h 5 min 5 s");
    }

    #[test]
    fn estimates_have_up_to_two_units() {
        let check =
            |millis, expected| assert_eq!(estimate(Duration::from_millis(millis)), expected);
        check(0, "0 ms");
        check(320, "320 ms");
        check(1_000, "1 s");
        check(1_540, "1.5 s");
        check(42_400, "42 s");
        check(59_900, "1 min 0 s");
        check(201_000, "3 min 21 s");
        check(7_500_000, "2 h 5 min");
    }

    #[test]
    fn times_left_are_whole_numbers_rounded_up() {
        let check = |millis, two, one| {
            let found = [2, 1].map(|units| whole(Duration::from_millis(millis), units));
            assert_eq!(found, [two, one], "{millis}");
        };
        check(0, "0 s", "0 s");
        check(1, "1 s", "1 s");
        check(59_001, "1 min", "1 min");
        check(61_000, "2 min", "2 min");
        check(3_599_000, "1 h", "1 h");
        check(3_600_000, "1 h", "1 h");
        check(3_601_000, "1 h 1 min", "2 h");
        check(90_000_000, "1 d 1 h", "2 d");
        assert!(whole(Duration::MAX, 2).ends_with(" h"));
    }

    #[test]
    fn rates_and_counts_are_whole_numbers() {
        for (per_second, expected) in [
            (0.0, "0/h"),
            (0.01, "36/h"),
            (0.1, "6/min"),
            (1.4, "1/s"),
            (9_998.3, "9,998/s"),
        ] {
            assert_eq!(rate(per_second), expected);
        }
        let numbers = [0, 999, 1_000, 20_093, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "20,093", "1,234,567"]);
        let numbers = [9_999, 10_000, 999_999, 3_900_000].map(|number| rounded(number, 10_000));
        assert_eq!(numbers, ["9999", "10k", "999k", "3M"]);
    }

    #[test]
    fn file_names_are_escaped_for_the_terminal() {
        for (name, expected) in [
            ("people.csv", "people.csv"),
            ("it's \"new\".csv", "it's \"new\".csv"),
            (r"C:\people.csv", r"C:\people.csv"),
            ("größe 中.csv", "größe 中.csv"),
            ("a\nb\r\t\0", r"a\nb\r\t\0"),
            ("\u{1b}[2J\u{7}\u{9b}", r"\u{1b}[2J\u{7}\u{9b}"),
            ("\u{202e}vsc.exe\u{200b}", r"\u{202e}vsc.exe\u{200b}"),
        ] {
            assert_eq!(path(Path::new(name)), expected);
        }
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_not_utf_8_stay_distinct() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let name = OsStr::from_bytes(b"a\xff\xfe.csv");
        assert_eq!(path(Path::new(name)), r"a\xff\xfe.csv");
    }
}
