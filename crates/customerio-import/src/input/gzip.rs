use std::io::{self, BufRead, BufReader, Read};
use std::mem;

use flate2::bufread::GzDecoder;

use super::source::Bytes;

/// Decompresses every member of a gzip file, and skips zeros after the last one, as tapes and
/// copies leave them.
///
/// [`flate2::read::MultiGzDecoder`] takes such zeros for the header of another member, and fails.
pub(super) struct Gunzip {
    state: State,
}

enum State {
    /// Before the first member.
    Start(BufReader<Bytes>),
    Member(Box<GzDecoder<BufReader<Bytes>>>),
    /// After the last member, or after an error: reading on would skip the damage.
    Ended,
}

/// The first byte of every member.
const MAGIC: u8 = 0x1f;

impl Gunzip {
    pub(super) fn new(source: Bytes) -> Self {
        Self {
            state: State::Start(BufReader::with_capacity(64 * 1024, source)),
        }
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let State::Member(decoder) = &mut self.state {
                match decoder.read(buffer) {
                    Ok(0) => {}
                    read => return read.map_err(with_advice),
                }
            }
            self.state = match mem::replace(&mut self.state, State::Ended) {
                // Start => (Member | Ended by an error)
                State::Start(source) => first_member(source)?,
                // Member => (Member | Ended)
                State::Member(decoder) => next_member(decoder.into_inner())?,
                // Ended => Ended
                State::Ended => return Ok(0),
            };
        }
    }
}

/// Checks the first byte only: the decoder checks the rest of the header.
fn first_member(mut source: BufReader<Bytes>) -> io::Result<State> {
    if matches!(source.fill_buf()?.first(), Some(first) if *first != MAGIC) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file is not compressed by gzip; give it a name without .gz",
        ));
    }
    Ok(State::member(source))
}

/// A member is followed by another one, by the end of the file, or by zeros; else the file is
/// damaged.
fn next_member(mut source: BufReader<Bytes>) -> io::Result<State> {
    match source.fill_buf()?.first() {
        None => Ok(State::Ended),
        Some(0) => only_zeros(source),
        Some(&MAGIC) => Ok(State::member(source)),
        Some(_) => Err(garbage()),
    }
}

impl Read for Gunzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.try_read(buffer);
        if read
            .as_ref()
            .is_err_and(|error| error.kind() != io::ErrorKind::Interrupted)
        {
            self.state = State::Ended;
        }
        read
    }
}

impl State {
    fn member(source: BufReader<Bytes>) -> Self {
        Self::Member(Box::new(GzDecoder::new(source)))
    }
}

fn only_zeros(mut source: BufReader<Bytes>) -> io::Result<State> {
    loop {
        let chunk = source.fill_buf()?;
        if chunk.is_empty() {
            return Ok(State::Ended);
        }
        if chunk.iter().any(|byte| *byte != 0) {
            return Err(garbage());
        }
        let length = chunk.len();
        source.consume(length);
    }
}

fn garbage() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "data that is not gzip follows the compressed data; copy or download the file again",
    )
}

/// Adds advice to an error of flate2.
fn with_advice(error: io::Error) -> io::Error {
    let why = match error.kind() {
        io::ErrorKind::Interrupted => return error,
        io::ErrorKind::UnexpectedEof => "the compressed data is cut off".to_owned(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            format!("the compressed data is damaged ({error})")
        }
        _ => return error,
    };
    io::Error::new(
        error.kind(),
        format!("{why}; copy or download the file again"),
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(bytes: &[u8]) -> Result<String, String> {
        let source = Box::new(Cursor::new(bytes.to_vec()));
        let (mut reader, mut text) = (Gunzip::new(source), String::new());
        let read = reader.read_to_string(&mut text);
        if read.is_err() {
            assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0, "it reads on");
        }
        read.map(|_| text).map_err(|error| error.to_string())
    }

    #[test]
    fn members_follow_each_other_and_zeros_may_follow_them() {
        let (a, b) = (packed(b"id\n1\n"), packed(b"2\n"));
        assert_eq!(unpack(&a).unwrap(), "id\n1\n");
        assert_eq!(unpack(&[&*a, &b].concat()).unwrap(), "id\n1\n2\n");
        assert_eq!(
            unpack(&[&*a, &packed(b""), &b].concat()).unwrap(),
            "id\n1\n2\n"
        );
        for zeros in [1, 7, 512, 200_000] {
            let padded = [&*a, &b, &vec![0; zeros]].concat();
            assert_eq!(unpack(&padded).unwrap(), "id\n1\n2\n", "{zeros}");
        }
    }

    #[test]
    fn data_after_the_members_that_is_not_zero_is_refused() {
        let a = packed(b"id\n1\n");
        let behind: [&[u8]; 5] = [b"x", b"id\n", b"\0x", b"\n", &[0, 0, 0x1f, 0x8b]];
        for garbage in behind {
            let error = unpack(&[&*a, garbage].concat()).unwrap_err();
            assert!(
                error.starts_with("data that is not gzip"),
                "{garbage:?}: {error}"
            );
        }
        let error = unpack(&[&*a, &[0x1f, 0x8b, 9, 9, 9, 9, 9, 9, 9, 9]].concat()).unwrap_err();
        assert!(error.contains("damaged"), "{error}");
    }

    #[test]
    fn a_file_that_is_cut_off_anywhere_is_refused() {
        let whole = [packed(&b"id\n1\n".repeat(50)), packed(b"2\n")].concat();
        let first = packed(&b"id\n1\n".repeat(50)).len();
        for length in (0..whole.len()).filter(|length| *length != first) {
            let error = unpack(&whole[..length]).unwrap_err();
            assert!(error.contains("cut off"), "{length}: {error}");
        }
    }

    #[test]
    fn a_bit_that_flips_changes_no_text() {
        let text = "id\n1\n2\n3\n".repeat(9);
        let whole = packed(text.as_bytes());
        // The ten bytes of the header hold the time and the system, which no check covers.
        let unpacked: Vec<_> = (10 * 8..whole.len() * 8)
            .map(|bit| {
                let mut bytes = whole.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                unpack(&bytes)
            })
            .collect();
        let (same, refused): (Vec<_>, Vec<_>) = unpacked.iter().partition(|read| read.is_ok());
        assert!(same.iter().all(|read| read.as_ref() == Ok(&text)));
        // The bits that pad the last byte of the data mean nothing.
        assert!(
            same.len() < 8 && refused.len() > 64,
            "{} and {}",
            same.len(),
            refused.len()
        );
    }
}
