use crate::retry;

/// The most bytes of a line. A longer line is ignored.
const LONGEST: usize = 1_024;
/// The most lines of a field, and the most members of all its lines. Further ones are ignored, so
/// that a response cannot cost much time or memory.
const MOST: usize = 8;

/// The lines of one field. They are one list (RFC 9651, section 4.2).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines<'a> {
    lines: [&'a [u8]; MOST],
    count: usize,
}

/// A member of a list or a dictionary of RFC 9651, with its parameters. The parser is lenient: what
/// the RFC forbids is taken as far as it makes sense.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    head: &'a str,
    parameters: &'a str,
}

impl<'a> Lines<'a> {
    /// Appends a line, or ignores it if there are too many.
    pub(super) fn push(&mut self, line: &'a [u8]) {
        if let Some(free) = self.lines.get_mut(self.count) {
            *free = line;
            self.count += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the members of all lines.
    pub(super) fn members(&self) -> impl Iterator<Item = Member<'a>> + use<'a> {
        let lines = self.texts().flat_map(|line| split(line, ','));
        lines.take(MOST).map(Member::new)
    }

    /// Returns the members of all lines as times. Some may be dates, which have a comma of their
    /// own.
    pub(super) fn times(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.texts().flat_map(retry::members).take(MOST)
    }

    /// Returns the lines that are UTF-8 and not too long.
    fn texts(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let (lines, count) = (self.lines, self.count);
        let lines = lines.into_iter().take(count);
        let lines = lines.filter(|line| line.len() <= LONGEST);
        lines.filter_map(|line| std::str::from_utf8(line).ok())
    }
}

impl<'a> Member<'a> {
    fn new(text: &'a str) -> Self {
        // The parameters keep their first semicolon: `split` then yields an empty first part.
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

    /// Returns the member's own value as a number, without its fraction: Reddit states `598.0`.
    pub(super) fn whole_number(&self) -> Option<u64> {
        let (whole, fraction) = self.head.split_once('.').unwrap_or((self.head, "0"));
        number(fraction)?;
        number(whole)
    }

    /// Returns the key and the value of a member of a dictionary.
    pub(super) fn entry(&self) -> Option<(&'a str, &'a str)> {
        let (key, value) = self.head.split_once('=')?;
        Some((key.trim(), unquoted(value.trim())))
    }

    /// Returns the value of a parameter, without quotes. If it comes twice, the last one counts.
    pub(super) fn parameter(&self, key: &str) -> Option<&'a str> {
        split(self.parameters, ';')
            .filter_map(|parameter| parameter.split_once('='))
            .filter(|(name, _)| name.trim() == key)
            .last()
            .map(|(_, value)| unquoted(value.trim()))
    }
}

/// Parses a number of digits only. A number above 64 bits counts as the largest one.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = text.trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Only a number above 64 bits fails here.
    Some(digits.parse().unwrap_or(u64::MAX))
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text)
}

/// Splits at separators outside of quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    // A backslash escapes only within quotes, and a quote after it does not end them.
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

    fn members(value: &[u8]) -> impl Iterator<Item = Member<'_>> {
        lines(&[value]).members()
    }

    fn lines<'a>(values: &[&'a [u8]]) -> Lines<'a> {
        let mut lines = Lines::default();
        values.iter().for_each(|value| lines.push(value));
        lines
    }

    #[test]
    fn separators_in_quotes_do_not_split() {
        let found: Vec<_> = members(br#""a,b;c\",";q=1;p="x;y" , d"#).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].name(), r#"a,b;c\","#);
        assert_eq!(found[0].parameter("p"), Some("x;y"));
        assert_eq!(found[0].parameter("q"), Some("1"));
        assert_eq!(found[1].name(), "d");
    }

    #[test]
    fn a_number_has_only_digits() {
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
    fn a_line_that_is_too_long_is_ignored_and_so_are_members_beyond_eight() {
        let many = "1,".repeat(100);
        assert_eq!(members(many.as_bytes()).count(), MOST);
        let long = "1".repeat(LONGEST + 1);
        assert_eq!(members(long.as_bytes()).count(), 0);
    }

    /// Lines and one line that joins them have the same members, up to eight.
    #[test]
    fn lines_are_one_list() {
        fn check(values: &[&[u8]], expected: &[&str]) {
            let found: Vec<_> = lines(values)
                .members()
                .map(|member| member.name())
                .collect();
            assert_eq!(found, expected);
            let joined = values.join(b", " as &[u8]);
            let found: Vec<_> = members(&joined).map(|member| member.name()).collect();
            assert_eq!(found, expected, "in one line");
        }
        check(&[b"a"], &["a"]);
        check(&[b"a", b"b"], &["a", "b"]);
        check(&[b"a;q=1, b", b"c"], &["a", "b", "c"]);
        check(
            &[b"1", b"2", b"3", b"4", b"5", b"6,7", b"8", b"9"],
            &["1", "2", "3", "4", "5", "6", "7", "8"],
        );
    }

    #[test]
    fn a_malformed_line_hides_no_other_and_lines_beyond_eight_are_ignored() {
        let long = b"1".repeat(LONGEST + 1);
        let names = |values: &[&[u8]]| lines(values).members().count();
        assert_eq!(names(&[&long, b"a", b"\xff", b"b"]), 2);
        assert_eq!(names(&[b"\xff"; MOST].map(|line| line as &[u8])), 0);
        let mut many = vec![b"\xff" as &[u8]; MOST];
        many.push(b"a");
        assert_eq!(names(&many), 0);
    }

    #[test]
    fn a_date_in_a_list_keeps_its_comma() {
        let lines = lines(&[
            b"Fri, 29 Sep 2023 16:27:07 GMT, 5",
            b"Friday, 29-Sep-23 16:27:07 GMT",
        ]);
        let times: Vec<_> = lines.times().map(str::trim).collect();
        let dates = [
            "Fri, 29 Sep 2023 16:27:07 GMT",
            "5",
            "Friday, 29-Sep-23 16:27:07 GMT",
        ];
        assert_eq!(times, dates);
    }
}
