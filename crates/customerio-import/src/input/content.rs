//! What the first bytes of a file say about it, where that is not what its name says.

use std::io::{self, Read};

use anyhow::{Result, bail};

use super::bytes::Bytes;

/// Long enough for every mark below.
const HEAD: usize = 4;

/// Refuses what is not text in UTF-8 and says what to do; else gives the bytes back, whole.
pub(super) fn check(mut source: Bytes) -> Result<Bytes> {
    let head = head(&mut source)?;
    if let Some(what) = foreign(&head) {
        bail!("{what}");
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
    Some(match head {
        [0, 0, 0, 0] => ZEROS,
        [0xff, 0xfe, 0, 0] | [0, 0, 0xfe, 0xff] | [0, 0, 0, _] | [_, 0, 0, 0] => {
            "the file is UTF-32; save it as UTF-8"
        }
        [0, 0, ..] => ZEROS,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => {
            "the file is UTF-16; save it as UTF-8"
        }
        [0x1f, 0x8b, ..] => "the file is compressed by gzip; let its name end in .gz, or unpack it",
        [b'P', b'K', 3 | 5, 4 | 6] => {
            "the file is an archive or a workbook of a spreadsheet; save it as CSV in UTF-8"
        }
        [0xd0, 0xcf, 0x11, 0xe0] => {
            "the file is a workbook of a spreadsheet; save it as CSV in UTF-8"
        }
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
        let said = checked
            .err()
            .map_or_else(String::new, |error| error.to_string());
        assert!(said.contains(expected), "{bytes:?}: {said}");
    }

    #[test]
    fn what_is_not_text_in_utf_8_is_named() {
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
    fn text_is_given_back_whole() {
        for text in ["", "i", "id", "id\n1\n", "\u{feff}id\n", "PK\n1\n", "ünï"] {
            let mut read = String::new();
            let mut bytes = check(Box::new(io::Cursor::new(text.to_owned()))).unwrap();
            bytes.read_to_string(&mut read).unwrap();
            assert_eq!(read, text);
        }
    }
}
