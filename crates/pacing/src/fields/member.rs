/// The most bytes of a field that are read.
const LONGEST: usize = 1_024;
/// The most members of a field that are read.
const MOST: usize = 8;

/// A member of a list or a dictionary, as RFC 9651 writes them, with its parameters; read leniently.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    head: &'a str,
    parameters: &'a str,
}

/// Returns the members of a field; none if it is too long or not text.
pub(super) fn members(value: &[u8]) -> impl Iterator<Item = Member<'_>> {
    let text = std::str::from_utf8(value).ok();
    let text = text.filter(|text| text.len() <= LONGEST);
    split(text.unwrap_or_default(), ',')
        .take(MOST)
        .map(Member::new)
}

impl<'a> Member<'a> {
    fn new(text: &'a str) -> Self {
        let end = split(text, ';').next().map_or(0, str::len);
        let (head, parameters) = text.split_at(end);
        Self {
            head: head.trim(),
            parameters,
        }
    }

    /// Returns the member's own value, without quotes.
    pub(super) fn name(&self) -> &'a str {
        unquoted(self.head)
    }

    /// Returns the member's own value as a number.
    pub(super) fn number(&self) -> Option<u64> {
        number(self.head)
    }

    /// Returns key and value of a dictionary's member.
    pub(super) fn entry(&self) -> Option<(&'a str, &'a str)> {
        let (key, value) = self.head.split_once('=')?;
        Some((key.trim(), unquoted(value.trim())))
    }

    /// Returns the value of a parameter, without quotes; of several, the last.
    pub(super) fn parameter(&self, key: &str) -> Option<&'a str> {
        split(self.parameters, ';')
            .filter_map(|parameter| parameter.split_once('='))
            .filter(|(name, _)| name.trim() == key)
            .last()
            .map(|(_, value)| unquoted(value.trim()))
    }
}

/// Reads digits and nothing else; a number too large for 64 bits counts as the largest.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = text.trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text)
}

/// Splits where no quotes are open.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        let was_escaped = std::mem::replace(&mut escaped, false);
        escaped = c == '\\' && quoted && !was_escaped;
        quoted ^= c == '"' && !was_escaped;
        c == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_quotes_separate_nothing() {
        let found: Vec<_> = members(br#""a,b;c\",";q=1;p="x;y" , d"#).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].name(), r#"a,b;c\","#);
        assert_eq!(found[0].parameter("p"), Some("x;y"));
        assert_eq!(found[0].parameter("q"), Some("1"));
        assert_eq!(found[1].name(), "d");
    }

    #[test]
    fn numbers_are_digits() {
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(number(text), expected, "{text:?}");
        }
        check("0", Some(0));
        check(" 100 ", Some(100));
        check("18446744073709551616", Some(u64::MAX));
        check("", None);
        check("+5", None);
        check("-5", None);
        check("5.0", None);
        check("1_000", None);
    }

    #[test]
    fn a_field_that_is_too_long_has_no_members_and_of_many_only_eight_count() {
        let many = "1,".repeat(100);
        assert_eq!(members(many.as_bytes()).count(), MOST);
        let long = "1".repeat(LONGEST + 1);
        assert!(members(long.as_bytes()).all(|member| member.number().is_none()));
    }
}
