//! Detects from the first bytes of a file that it is not text in UTF-8.

use std::io::{self, Read};

use anyhow::{Result, bail};

use super::source::Bytes;

/// The number of bytes that the patterns of [`foreign`] compare.
const HEAD: usize = 4;

/// Fails with advice if the source is not text in UTF-8. Returns all of its bytes otherwise.
pub(super) fn check(mut source: Bytes) -> Result<Bytes> {
    let head = head(&mut source)?;
    if let Some(advice) = foreign(&head) {
        bail!("{advice}");
    }
    Ok(Box::new(io::Cursor::new(head).chain(source)))
}

fn head(source: &mut Bytes) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    source.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

const ZEROS: &str = "the file begins with zeros; is it damaged? copy or download it again";

fn foreign(head: &[u8]) -> Option<&'static str> {
    // The order matters: UTF-32 begins with the mark of UTF-16.
    Some(match head {
        [0, 0, 0, 0] => ZEROS,
        [0xff, 0xfe, 0, 0] | [0, 0, 0xfe, 0xff] | [0, 0, 0, _] | [_, 0, 0, 0] => {
            "the file is UTF-32; save it as UTF-8"
        }
        [0, 0, ..] => ZEROS,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => {
            "the file is UTF-16; save it as UTF-8"
        }
        [0x1f, 0x8b, ..] => {
            "the file is compressed by gzip; give it a name that ends in .gz, or unpack it"
        }
        [b'P', b'K', 3 | 5, 4 | 6] => {
            "the file is an archive or a spreadsheet workbook; save it as CSV in UTF-8"
        }
        [0xd0, 0xcf, 0x11, 0xe0] => "the file is a spreadsheet workbook; save it as CSV in UTF-8",
        [0x28, 0xb5, 0x2f, 0xfd] => "the file is compressed by Zstandard; unpack it",
        [b'B', b'Z', b'h', b'1'..=b'9'] => "the file is compressed by bzip2; unpack it",
        [0xfd, b'7', b'z', b'X'] => "the file is compressed by xz; unpack it",
        [b'P', b'A', b'R', b'1'] => "the file is Parquet; write it as CSV or JSON lines",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_head(bytes: &[u8], expected: &str) {
        let checked = check(Box::new(io::Cursor::new(bytes.to_vec())));
        let message = checked
            .err()
            .map_or_else(String::new, |error| error.to_string());
        assert!(message.contains(expected), "{bytes:?}: {message}");
    }

    #[test]
    fn files_that_are_not_text_in_utf_8_are_refused_with_their_format() {
        check_head(b"\xff\xfei\0d\0", "UTF-16");
        check_head(b"\xfe\xff\0i\0d", "UTF-16");
        check_head(b"i\0d\0\n\0", "UTF-16");
        check_head(b"\0i\0d\0\n", "UTF-16");
        check_head(b"\xff\xfe\0\0i\0\0\0", "UTF-32");
        check_head(b"\0\0\0i\0\0\0d", "UTF-32");
        check_head(b"\0\0\0\0\0", "begins with zeros");
        check_head(b"\x1f\x8b\x08\0", "gzip");
        check_head(b"PK\x03\x04", "workbook");
        check_head(b"PAR1", "Parquet");
    }

    #[test]
    fn text_is_returned_whole() {
        for text in ["", "i", "id", "id\n1\n", "\u{feff}id\n", "PK\n1\n", "ünï"] {
            let mut read = String::new();
            let mut bytes = check(Box::new(io::Cursor::new(text.to_owned()))).unwrap();
            bytes.read_to_string(&mut read).unwrap();
            assert_eq!(read, text);
        }
    }
}
