//! Finds that another program changes the input while a run reads it.
//!
//! A run reads a file up to four times: for its header, its digest, the plan, and to send it. All
//! passes must read the same bytes, since event ids and the journal count on the number of a
//! record. The length and the time of the last write are compared after each read, so that no later
//! record is sent. The digest is compared at the end of the last pass, and finds what these do not
//! show: a write through a memory map, one within the tick of the file system's clock, or a time
//! that was reset.

use std::io::{self, Read};
use std::time::UNIX_EPOCH;
use std::{error, fmt};

use sha2::{Digest, Sha256};

use super::source::{Bytes, Version};
use crate::clock;

/// The use of the bytes that are read, which decides the advice of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Nothing is sent yet.
    Check,
    /// Records are sent meanwhile.
    Send,
}

/// The error of an input that another program has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InputChanged {
    found: Change,
    used: Use,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Length {
        was: u64,
        is: u64,
    },
    /// The length is the same. The time is in seconds since 1970, if the system has it.
    Written(Option<i64>),
    /// Length and time are the same.
    Content,
}

/// Passes a source on, and fails at its end unless the content has the digest.
pub(super) struct Verified {
    source: Bytes,
    digest: Sha256,
    expected: [u8; 32],
    used: Use,
}

// === impl InputChanged ===

impl InputChanged {
    /// Returns the error for two versions that differ.
    pub(super) fn version(was: Version, is: Version, used: Use) -> Self {
        let found = match was.length == is.length {
            true => Change::Written(is.modified.and_then(|time| {
                let since = time.duration_since(UNIX_EPOCH).ok()?;
                i64::try_from(since.as_secs()).ok()
            })),
            false => Change::Length {
                was: was.length,
                is: is.length,
            },
        };
        Self { found, used }
    }
}

impl fmt::Display for InputChanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another program has changed the ")?;
        match self.found {
            Change::Length { was, is } => write!(
                f,
                "file: it had {was} bytes when it was opened, and has {is} now"
            )?,
            Change::Written(time) => {
                let time = time.map_or_else(|| "an unknown time".to_owned(), clock::rfc3339);
                write!(f, "file: it was written to at {time}")?;
            }
            Change::Content => {
                f.write_str("content of the file since this run has checked it")?;
                if self.used == Use::Send {
                    f.write_str(", so records may have been sent from the changed content")?;
                }
            }
        }
        f.write_str(match self.used {
            Use::Check => {
                "; wait until no program writes to the file, then run the same command again"
            }
            Use::Send => {
                "; to send the rest, restore the file as it was and run the same command again; to \
                 send the changed file, all of it, name a new journal with --journal"
            }
        })
    }
}

impl error::Error for InputChanged {}

// === impl Verified ===

impl Verified {
    pub(super) fn new(source: Bytes, expected: [u8; 32], used: Use) -> Self {
        Self {
            source,
            digest: Sha256::new(),
            expected,
            used,
        }
    }
}

impl Read for Verified {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.digest.update(&buffer[..count]);
        // An empty buffer reads nothing, and is no end.
        let is_end = count == 0 && !buffer.is_empty();
        if is_end && <[u8; 32]>::from(self.digest.clone().finalize()) != self.expected {
            return Err(io::Error::other(InputChanged {
                found: Change::Content,
                used: self.used,
            }));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn read(content: &str, checked: &str, used: Use) -> Result<String, String> {
        let source = Box::new(io::Cursor::new(content.to_owned()));
        let mut verified = Verified::new(source, Sha256::digest(checked).into(), used);
        assert_eq!(verified.read(&mut []).unwrap(), 0);
        let mut text = String::new();
        let read = verified.read_to_string(&mut text);
        read.map(|_| text).map_err(|error| error.to_string())
    }

    #[test]
    fn only_the_content_that_was_checked_is_read_to_its_end() {
        assert_eq!(read("id\n1\n", "id\n1\n", Use::Send).unwrap(), "id\n1\n");
        assert_eq!(read("", "", Use::Send).unwrap(), "");
        for (content, checked) in [("id\n1\n", "id\n2\n"), ("", "i"), ("ab", "a"), ("a", "ab")] {
            let error = read(content, checked, Use::Send).unwrap_err();
            assert!(error.contains("may have been sent from the changed content; to send"));
            let error = read(content, checked, Use::Check).unwrap_err();
            assert!(
                error.contains("has checked it; wait until no program writes"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_error_says_how_the_file_has_changed() {
        let version = |length, seconds: Option<u64>| Version {
            length,
            modified: seconds.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
        };
        let error = |was, is| InputChanged::version(was, is, Use::Check).to_string();
        let found = error(version(5, Some(1)), version(7, Some(2)));
        assert!(found.contains(": it had 5 bytes when it was opened, and has 7 now; wait"));
        let found = error(version(5, Some(1)), version(5, Some(1_767_225_600)));
        assert!(
            found.contains("written to at 2026-01-01T00:00:00Z; wait"),
            "{found}"
        );
        let found = error(version(5, Some(1)), version(5, None));
        assert!(
            found.contains("written to at an unknown time; wait"),
            "{found}"
        );
    }
}
