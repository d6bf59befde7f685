use std::fmt::Write;
use std::path::Path;

/// Returns the name of a file as it is shown: escaped, whole, and bytes that are no text as `\xff`.
pub(crate) fn shown(path: &Path) -> String {
    let mut shown = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        shown += &escaped(chunk.valid());
        for byte in chunk.invalid() {
            write!(shown, r"\x{byte:02x}").expect("a string takes everything");
        }
    }
    shown
}

/// Escapes what a terminal would obey or not show. Quotes and backslashes of names are common, and
/// harmless.
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
    fn a_terminal_obeys_no_name_of_a_file() {
        for (name, expected) in [
            ("people.csv", "people.csv"),
            ("it's \"new\".csv", "it's \"new\".csv"),
            (r"C:\people.csv", r"C:\people.csv"),
            ("größe 中.csv", "größe 中.csv"),
            ("a\nb\r\t\0", r"a\nb\r\t\0"),
            ("\u{1b}[2J\u{7}\u{9b}", r"\u{1b}[2J\u{7}\u{9b}"),
            ("\u{202e}vsc.exe\u{200b}", r"\u{202e}vsc.exe\u{200b}"),
        ] {
            assert_eq!(shown(Path::new(name)), expected);
        }
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_are_told_apart() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let name = OsStr::from_bytes(b"a\xff\xfe.csv");
        assert_eq!(shown(Path::new(name)), r"a\xff\xfe.csv");
    }
}
