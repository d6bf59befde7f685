//! Makes text of a server safe to show: bounded, and without characters that act on a terminal.

/// How many bytes of a server's text are kept. Enough for the message of an API; less than a screen
/// of a log. An error page of a gateway is cut.
pub(super) const MAX_TEXT: usize = 1_000;

/// Cuts a text to [`MAX_TEXT`] bytes and escapes each character that acts on a terminal.
pub(crate) fn sanitize(text: &str) -> String {
    let mut kept = String::new();
    for character in text.chars() {
        let before = kept.len();
        if acts_on_terminal(character) {
            kept.extend(character.escape_default());
        } else {
            kept.push(character);
        }
        // An escape is kept whole or not at all.
        if kept.len() > MAX_TEXT {
            kept.truncate(before);
            break;
        }
    }
    kept
}

/// Returns whether a character controls a terminal or the direction of text.
fn acts_on_terminal(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(sanitize(text), expected, "{text}");
    }

    #[test]
    fn text_is_bounded_and_does_not_act_on_a_terminal() {
        check("a\u{1b}[2J\nb\u{202e}c\0", r"a\u{1b}[2J\nb\u{202e}c\u{0}");
        check(&"x".repeat(5_000), &"x".repeat(1_000));
        check(&"é".repeat(600), &"é".repeat(500));
        check(&format!("{}\u{1b}", "x".repeat(999)), &"x".repeat(999));
    }
}
