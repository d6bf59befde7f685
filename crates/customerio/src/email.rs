//! Checks email addresses that identify a person.

use crate::InvalidInput;

const FIELD: &str = "person email";

/// Returns an error unless the text is exactly one bare address.
///
/// Each domain is accepted, also one without a dot, and letters of each alphabet.
///
/// The check prevents second profiles: an identifier that differs by an invisible character would
/// create one for the same person.
pub(crate) fn check(address: &str) -> Result<(), InvalidInput> {
    match problem(address) {
        Some(why) => Err(InvalidInput::malformed(FIELD, why)),
        None => Ok(()),
    }
}

/// Returns the first problem. The order matters: a list has several `@`, but the message should say
/// that it is a list.
fn problem(address: &str) -> Option<&'static str> {
    let holds = |is: fn(char) -> bool| address.contains(is);
    if starts_with_mailto(address) {
        return Some("begins with `mailto:`; give the address alone");
    }
    if holds(|letter| matches!(letter, '<' | '>' | '(' | ')' | '"')) {
        return Some("has a name, quotes or brackets around the address; give the address alone");
    }
    if holds(|letter| matches!(letter, ',' | ';')) {
        return Some("is a list; give one address");
    }
    if holds(char::is_whitespace) {
        return Some("holds white space; remove it");
    }
    if holds(char::is_control) {
        return Some("holds a control character; remove it");
    }
    if holds(is_invisible) {
        return Some("holds an invisible character, such as a zero-width space; remove it");
    }
    match address.split_once('@') {
        Some((local, domain))
            if !local.is_empty() && !domain.is_empty() && !domain.contains('@') =>
        {
            None
        }
        Some(_) | None => Some("is not of the form name@domain; correct it or use an id"),
    }
}

fn starts_with_mailto(address: &str) -> bool {
    address
        .get(..7)
        .is_some_and(|start| start.eq_ignore_ascii_case("mailto:"))
}

/// Returns whether a character is invisible: it has the Unicode property
/// `Default_Ignorable_Code_Point`, or is the blank of Braille, or one of the specials up to the
/// replacement character.
///
/// Text that was copied from a page often contains them. The standard library knows white space and
/// control characters only.
fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffd}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_problem(address: &str, expected: &str) {
        let found = problem(address).unwrap_or("none");
        assert!(found.contains(expected), "{address:?}: {found}");
    }

    #[test]
    fn an_address_is_one_name_at_one_domain() {
        for address in [
            "a@example.com",
            "a@b",
            "person+tag@example.com",
            "o'neil!#$%&*/=?^_`{|}~-@example.com",
            "ünï@例え.jp",
            "a@[192.0.2.1]",
        ] {
            assert_eq!(problem(address), None, "{address}");
        }
        for address in ["a", "@", "a@", "@b", "a@b@", "a@@b", "a@b@c", "@a@b"] {
            check_problem(address, "name@domain");
        }
    }

    #[test]
    fn text_around_an_address_is_an_error() {
        for address in [
            "Eve <e@example.com>",
            "<e@example.com>",
            "e@example.com (Eve)",
            "\"Eve\" e@example.com",
        ] {
            check_problem(address, "brackets around");
        }
        for address in [
            "f@a.com;g@a.com",
            "f@a.com,g@a.com",
            "f@a.com, g@a.com",
            "f@a.com;",
        ] {
            check_problem(address, "is a list");
        }
        check_problem("mailto:i@example.com", "mailto");
        check_problem("MailTo:i@example.com", "mailto");
    }

    #[test]
    fn invisible_characters_are_errors_at_every_position() {
        let kinds = [
            (
                "white space",
                " \t\n\r\u{a0}\u{2003}\u{202f}\u{3000}\u{2028}\u{85}",
            ),
            ("control character", "\0\u{7}\u{1a}\u{1b}\u{7f}\u{9f}"),
            (
                "invisible character",
                "\u{ad}\u{200b}\u{200d}\u{200e}\u{202e}\u{2060}\u{feff}\u{fe0f}\u{fffd}\
                 \u{115f}\u{1160}\u{17b4}\u{180b}\u{3164}\u{ffa0}\u{1d173}\u{e0041}",
            ),
        ];
        for (kind, letters) in kinds {
            for letter in letters.chars() {
                check_problem(&format!("{letter}a@example.com"), kind);
                check_problem(&format!("a{letter}b@example.com"), kind);
                check_problem(&format!("a@exa{letter}mple.com"), kind);
                check_problem(&format!("a@example.com{letter}"), kind);
            }
        }
    }
}
