//! The forms of `Retry-After` and of the reset fields, as standards, vendors and bug reports have
//! them.

use std::time::{Duration, SystemTime};

use pacing::fields::LimitFields;
use pacing::retry::{RetryAfter, parse_http_date};

/// The date of every response: 1,696,004,797 seconds after 1970.
const NOW: &str = "Fri, 29 Sep 2023 16:26:37 GMT";

/// The wait that a field asks for. `None` means that it cannot be read.
type Wait = Option<Duration>;

const fn secs(seconds: u64) -> Wait {
    Some(Duration::from_secs(seconds))
}

const fn millis(millis: u64) -> Wait {
    Some(Duration::from_millis(millis))
}

fn now() -> SystemTime {
    parse_http_date(NOW.as_bytes()).unwrap()
}

/// A field, its value, the wait, and the source of the form. Dates are moved to `NOW`.
const FORMS: [(&str, &str, Wait, &str); 58] = [
    ("retry-after", "120", secs(120), "RFC 9110, section 10.2.3"),
    (
        "retry-after",
        " 7\t",
        secs(7),
        "RFC 9110, section 5.5: white space around a value",
    ),
    (
        "retry-after",
        "Fri, 29 Sep 2023 16:26:57 GMT",
        secs(20),
        "RFC 9110, section 5.6.7: IMF-fixdate",
    ),
    (
        "retry-after",
        "Friday, 29-Sep-23 16:26:57 GMT",
        secs(20),
        "RFC 9110, section 5.6.7: RFC 850",
    ),
    (
        "retry-after",
        "Fri Sep 29 16:26:57 2023",
        secs(20),
        "RFC 9110, section 5.6.7: asctime",
    ),
    (
        "retry-after",
        "Fri, 29 Sep 2023 16:26:60 GMT",
        secs(23),
        "RFC 9110, section 5.6.7: a leap second",
    ),
    (
        "retry-after",
        "5, 10",
        secs(10),
        "RFC 9110, section 5.3: two lines that a proxy joined",
    ),
    (
        "retry-after",
        "15, Fri, 29 Sep 2023 16:26:57 GMT",
        secs(20),
        "RFC 9110, section 5.3, with a date",
    ),
    (
        "retry-after",
        "18446744073709551616",
        secs(u64::MAX),
        "RFC 9111, section 1.2.2: overflow is the largest",
    ),
    (
        "retry-after",
        "Fri, 29 Sep 2023 16:26:27 GMT",
        secs(0),
        "openai-python, tests of retries: a past date",
    ),
    (
        "retry-after",
        "0",
        secs(0),
        "openai-python, tests of retries",
    ),
    (
        "retry-after",
        "-10",
        None,
        "openai-python, tests of retries",
    ),
    ("retry-after", "", None, "openai-python, tests of retries"),
    (
        "retry-after",
        "nan",
        None,
        "openai-python, tests of retries",
    ),
    (
        "retry-after",
        "Zun, 29 Sep 2023 16:26:27 GMT",
        None,
        "openai-python, tests of retries",
    ),
    (
        "retry-after",
        "Fri, 29 Sep 100000 16:26:57 GMT",
        None,
        "openai-python, tests of retries",
    ),
    (
        "retry-after",
        "+5",
        None,
        "RFC 9110, section 10.2.3: digits only",
    ),
    (
        "retry-after",
        "120junk",
        None,
        "basecamp/basecamp-sdk pull request 781",
    ),
    (
        "retry-after",
        "0.493",
        secs(1),
        "SpaceTradersAPI/api-docs issue 24",
    ),
    (
        "retry-after",
        "1.5",
        secs(2),
        "teng-lin/notebooklm-py issue 1275",
    ),
    ("retry-after", "2.0", secs(2), "Shopify, API limits"),
    (
        "retry-after",
        "1696004827",
        secs(30),
        "openclaw/clawhub issue 407: seconds since 1970",
    ),
    (
        "retry-after",
        "1696004827000",
        secs(30),
        "mvanhorn/cli-printing-press issue 542: milliseconds",
    ),
    (
        "retry-after",
        "Fri, 29 Sep 2023 16:26:57 UTC",
        secs(20),
        "Go, time.RFC1123",
    ),
    (
        "retry-after",
        "Fri, 29 Sep 2023 16:26:57 -0000",
        secs(20),
        "Python, email.utils.formatdate",
    ),
    (
        "retry-after",
        "Fri, 29 Sep 2023 18:26:57 +0200",
        secs(20),
        "RFC 5322, section 3.3; Go, time.RFC1123Z",
    ),
    (
        "retry-after",
        "2023-09-29T16:26:57Z",
        secs(20),
        "RFC 3339; Go, time.RFC3339",
    ),
    (
        "retry-after",
        "2023-09-29T16:26:56.250Z",
        secs(20),
        "JavaScript, Date.prototype.toISOString",
    ),
    (
        "retry-after",
        "2023-09-29T16:26:57+00:00",
        secs(20),
        "Python, datetime.isoformat",
    ),
    (
        "retry-after",
        "2023-09-29T16:26:57",
        secs(20),
        "Python, datetime.utcnow().isoformat",
    ),
    (
        "retry-after",
        "2023-09-29 16:26:57 UTC",
        secs(20),
        "Ruby, Time#to_s",
    ),
    (
        "retry-after",
        "2023-09-29 18:26:57 +0200",
        secs(20),
        "Ruby, Time#to_s of a local time",
    ),
    (
        "retry-after-ms",
        "1500",
        millis(1_500),
        "openai-python, _base_client.py; Azure SDK for Rust",
    ),
    (
        "x-ms-retry-after-ms",
        "20",
        millis(20),
        "Azure Cosmos DB, REST response headers",
    ),
    (
        "x-amz-retry-after",
        "2500",
        millis(2_500),
        "AWS SDKs, retry behavior",
    ),
    (
        "ratelimit-reset",
        "30",
        secs(30),
        "draft-ietf-httpapi-ratelimit-headers-06",
    ),
    (
        "ratelimit",
        "limit=100, remaining=50, reset=30",
        secs(30),
        "draft-ietf-httpapi-ratelimit-headers-07",
    ),
    (
        "ratelimit",
        "\"default\";r=50;t=30",
        secs(30),
        "draft-ietf-httpapi-ratelimit-headers-08",
    ),
    (
        "ratelimit",
        "default;r=50;t=30",
        secs(30),
        "the same draft: its example with a bare token",
    ),
    (
        "x-ratelimit-reset",
        "1696004827",
        secs(30),
        "GitHub, rate limits for the REST API",
    ),
    (
        "x-rate-limit-reset",
        "1696004827",
        secs(30),
        "X, API rate limits; Okta, rate limit headers",
    ),
    (
        "ratelimit-reset",
        "1696004827",
        secs(30),
        "gitlab-org/gitlab issue 199738",
    ),
    (
        "x-ratelimit-reset",
        "1696004826.123",
        secs(30),
        "Discord, rate limits",
    ),
    (
        "x-rate-limit-reset",
        "1696004827000",
        secs(30),
        "Diffcord, rate limits: milliseconds since 1970",
    ),
    (
        "x-ratelimit-reset",
        "325",
        secs(325),
        "Reddit, r/redditdev \"Formal ratelimiting headers\"",
    ),
    (
        "x-ratelimit-reset",
        "29.2",
        secs(30),
        "Discord, X-RateLimit-Reset-After, as others name it",
    ),
    (
        "x-ratelimit-reset-requests",
        "1s",
        secs(1),
        "OpenAI, rate limits in headers",
    ),
    (
        "x-ratelimit-reset-tokens",
        "6m0s",
        secs(360),
        "OpenAI, rate limits in headers",
    ),
    (
        "x-ratelimit-reset-requests",
        "120ms",
        millis(120),
        "OpenAI, a response of its API",
    ),
    (
        "x-ratelimit-reset-requests",
        "2m59.56s",
        millis(179_560),
        "Groq, rate limits",
    ),
    (
        "x-ratelimit-reset-tokens",
        "7.66s",
        millis(7_660),
        "Groq, rate limits",
    ),
    (
        "anthropic-ratelimit-tokens-reset",
        "2023-09-29T16:27:07Z",
        secs(30),
        "Anthropic, rate limits: RFC 3339",
    ),
    (
        "x-ratelimit-reset",
        "2023-09-29T16:27Z",
        secs(83),
        "Jira Cloud, JRACLOUD-69262: to the minute",
    ),
    (
        "x-ratelimit-reset",
        "2023-09-30T00:00:00Z",
        secs(27_203),
        "Rachio, API rate limiting enhancements",
    ),
    (
        "x-ratelimit-reset",
        "Fri Sep 29 2023 18:27:07 GMT+0200 (Central European Summer Time)",
        secs(30),
        "lemlist, rate limits: JavaScript, Date.prototype.toString",
    ),
    (
        "x-ratelimit-reset",
        "Fri, 29 Sep 2023 16:27:07 GMT",
        secs(30),
        "GitLab, RateLimit-ResetTime, as others name it",
    ),
    (
        "x-ratelimit-reset",
        "soon",
        None,
        "no form: an unreadable reset states no limit",
    ),
    ("x-ratelimit-reset", "-1", None, "no form: a sign"),
];

/// Reads a field as the layers do.
fn wait(field: &str, value: &str) -> Wait {
    match field {
        "retry-after" => RetryAfter::parse(value.as_bytes()).map(|asked| asked.after(now())),
        "retry-after-ms" | "x-ms-retry-after-ms" | "x-amz-retry-after" => {
            RetryAfter::parse_millis(value.as_bytes()).map(|asked| asked.after(now()))
        }
        _ => {
            // Reddit states what remains with a fraction. In the drafts from 7 on, one field has
            // all numbers, and this value hides none of them.
            let remaining = field.replace("reset", "remaining");
            let fields = [("date", NOW), (&remaining, "50.0"), (field, value)];
            let stated = LimitFields::read(fields.map(|(name, value)| (name, value.as_bytes())));
            assert!(stated.limits.iter().all(|limit| limit.remaining == 50));
            stated.limits.first().map(|limit| limit.reset)
        }
    }
}

#[test]
fn every_form_is_read_and_rounds_up() {
    let wrong: Vec<_> = FORMS
        .into_iter()
        .filter(|&(field, value, expected, _)| wait(field, value) != expected)
        .map(|(field, value, _, source)| (field, value, wait(field, value), source))
        .collect();
    assert_eq!(wrong, []);
}
