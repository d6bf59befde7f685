use std::time::Duration;

/// What a field's name says of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// What fields of one kind have in common.
    pub(super) prefix: &'a str,
    /// Which of limit, remaining and reset it is.
    pub(super) index: usize,
    /// The window that the name ends in.
    pub(super) window: Option<Duration>,
}

const PREFIXES: [&str; 3] = ["ratelimit-", "x-ratelimit-", "x-rate-limit-"];
const PARTS: [&str; 3] = ["limit", "remaining", "reset"];
const WINDOWS: [(&str, u64); 5] = [
    ("", 0),
    ("-second", 1),
    ("-minute", 60),
    ("-hour", 3_600),
    ("-day", 86_400),
];

/// Takes the name of a field for one number apart.
pub(super) fn part(name: &str) -> Option<Part<'_>> {
    let (prefix, rest) = PREFIXES.iter().find_map(|prefix| {
        let rest = name.strip_prefix(prefix)?;
        Some((&name[..prefix.len()], rest))
    })?;
    let mut parts = PARTS.iter().enumerate();
    let (index, suffix) =
        parts.find_map(|(index, part)| Some((index, rest.strip_prefix(part)?)))?;
    let (_, seconds) = WINDOWS.iter().find(|(window, _)| *window == suffix)?;
    let window = (*seconds > 0).then(|| Duration::from_secs(*seconds));
    Some(Part {
        prefix,
        index,
        window,
    })
}

#[test]
fn a_name_says_what_its_number_is() {
    fn check(name: &str, expected: Option<(usize, u64)>) {
        let found = part(name).map(|part| (part.index, part.window.unwrap_or_default().as_secs()));
        assert_eq!(found, expected, "{name}");
    }
    check("ratelimit-limit", Some((0, 0)));
    check("x-ratelimit-remaining", Some((1, 0)));
    check("x-rate-limit-reset", Some((2, 0)));
    check("x-ratelimit-limit-minute", Some((0, 60)));
    check("x-ratelimit-remaining-day", Some((1, 86_400)));
    check("x-ratelimit-limit-tokens", None);
    check("x-ratelimit-used", None);
    check("ratelimit-policy", None);
    check("content-length", None);
}
