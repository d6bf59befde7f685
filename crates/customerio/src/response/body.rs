//! Reads bodies of every shape that the API and the machines before it send.

use super::answer::Answer;

/// How many bytes of the server's words are kept.
pub(super) const MAX_WORDS: usize = 1_000;

/// Returns what the server says in an error body: the messages of one of its envelopes, or else the
/// raw text.
pub(super) fn words(body: &[u8]) -> String {
    match Answer::read(body).and_then(Answer::into_words) {
        Some(said) => bounded(&said),
        None => {
            // Enough for the words even if every byte is part of a character.
            let head = &body[..body.len().min(4 * MAX_WORDS)];
            bounded(String::from_utf8_lossy(head).trim())
        }
    }
}

/// Cuts a text to [`MAX_WORDS`] bytes and escapes what would act on a terminal.
pub(crate) fn bounded(text: &str) -> String {
    let mut kept = String::new();
    for character in text.chars() {
        let before = kept.len();
        if is_active(character) {
            kept.extend(character.escape_default());
        } else {
            kept.push(character);
        }
        if kept.len() > MAX_WORDS {
            kept.truncate(before);
            break;
        }
    }
    kept
}

/// Returns whether a character controls a terminal or the direction of text.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_words(body: &str, expected: &str) {
        assert_eq!(words(body.as_bytes()), expected, "{body}");
    }

    #[test]
    fn every_envelope_gives_its_words() {
        check_words(r#"{"meta":{"error":"a"}}"#, "a");
        check_words(r#"{"meta":{"errors":["a","b"]}}"#, "a; b");
        check_words(
            r#"{"errors":[{"reason":"invalid","field":"id","message":"a"}]}"#,
            "a (invalid, id)",
        );
        check_words(
            r#"{"errors":[{"detail":"a","status":"429"},{"detail":"b","status":422}]}"#,
            "a; b",
        );
        check_words(r#"{"errors":[{"reason":"invalid"}]}"#, "invalid");
        check_words(r#"{"errors":null}"#, r#"{"errors":null}"#);
        check_words(r#"{"code":1}"#, r#"{"code":1}"#);
        check_words("", "");
        check_words("[]", "[]");
        check_words("<html>Bad Gateway</html>\r\n", "<html>Bad Gateway</html>");
    }

    #[test]
    fn words_are_bounded_and_do_not_act() {
        check_words("a\u{1b}[2J\nb\u{202e}c\0", r"a\u{1b}[2J\nb\u{202e}c\u{0}");
        check_words(&"x".repeat(5_000), &"x".repeat(1_000));
        check_words(&"é".repeat(600), &"é".repeat(500));
        check_words(&format!("{}\u{1b}", "x".repeat(999)), &"x".repeat(999));
        assert_eq!(words(b"a\xffb"), "a\u{fffd}b");
    }
}
