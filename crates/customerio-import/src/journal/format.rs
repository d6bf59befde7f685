//! The lines of a journal, as text.

use flate2::Crc;
use serde::{Deserialize, Serialize};

use super::header::Header;
use crate::ranges::Ranges;
use crate::report::Report;

/// The beginning of each journal, before the number of its format.
pub(super) const MAGIC: &str = "cio-import journal ";

/// The number of this format.
pub(super) const VERSION: &str = "2";

/// The most bytes of a line. A `settled` line has at most as many ranges as a run keeps, of up to
/// 42 bytes each; a longer line is damage, and reading all of it would fill the memory.
pub(super) const MAX_LINE: u64 = 32 << 20;

/// One line of a journal.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    Header(Header),
    Run(RunLine),
    Settled(SettledRecords),
    Complete(Report),
}

/// The start of a run, or its end, which has only the time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunLine {
    /// The number of the workspace, if the API has named it.
    pub(crate) environment: Option<u64>,
    /// The number of records, if they were counted.
    pub(crate) records: Option<u64>,
    /// The name of the rejects file, without its directory.
    pub(crate) rejects: Option<String>,
    /// The time, as RFC 3339: `verify` asks for failures since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) started_at: Option<String>,
    /// The time after the last request. A run that has crashed has no such line, so the end of its
    /// requests is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<String>,
}

/// Records that were settled since the line before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SettledRecords {
    pub(crate) records: Ranges,
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    /// The rejects file of the run, up to these records.
    pub(crate) rejects: Option<RejectsMark>,
}

/// The length of a rejects file, and the CRC-32 of its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RejectsMark {
    pub(crate) length: u64,
    pub(crate) checksum: u32,
}

/// The most ranges of settled records that are read. A run stops at half as many, and settles what
/// is in flight then. With more, a journal that something else has written would fill the memory: a
/// line of [`MAX_LINE`] bytes holds 16,000,000 of them.
pub(super) const MAX_RANGES: usize = 1_000_000;

/// Why a line cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LineError {
    /// It is not as it was written. A crash leaves the last line so.
    Damaged,
    /// It is as it was written, and no run of this version writes it.
    Invalid(String),
}

/// Returns the checksum of a line, which depends on that of the line before.
fn checksum(before: u32, body: &str) -> u32 {
    let mut crc = Crc::new();
    crc.update(&before.to_le_bytes());
    crc.update(body.as_bytes());
    crc.sum()
}

// === impl Line ===

impl Line {
    /// Returns the text with its line break, and its checksum.
    pub(super) fn encode(&self, before: u32) -> (String, u32) {
        let body = self.body();
        let checksum = checksum(before, &body);
        (format!("{body} #{checksum:08x}\n"), checksum)
    }

    /// Reads a text without its line break.
    pub(super) fn decode(text: &str, before: u32) -> Result<(Self, u32), LineError> {
        let (body, found) = text.rsplit_once(" #").ok_or(LineError::Damaged)?;
        let checksum = checksum(before, body);
        if found != format!("{checksum:08x}") {
            return Err(LineError::Damaged);
        }
        let line = Self::of_body(body).ok_or_else(|| {
            LineError::Invalid("this version of cio-import does not write it so".to_owned())
        })?;
        Ok((line, checksum))
    }

    fn body(&self) -> String {
        match self {
            Self::Header(header) => format!("{MAGIC}{VERSION} {}", json(header)),
            Self::Run(run) => format!("run {}", json(run)),
            Self::Settled(settled) => settled.body(),
            Self::Complete(report) => format!("complete {}", json(report)),
        }
    }

    fn of_body(body: &str) -> Option<Self> {
        let header = body.strip_prefix(MAGIC).and_then(|rest| {
            let json = rest.strip_prefix(VERSION)?.strip_prefix(' ')?;
            serde_json::from_str(json).ok()
        });
        if let Some(header) = header {
            return Some(Self::Header(header));
        }
        let (word, rest) = body.split_once(' ')?;
        match word {
            "run" => Some(Self::Run(serde_json::from_str(rest).ok()?)),
            "settled" => Some(Self::Settled(SettledRecords::of_body(rest)?)),
            "complete" => Some(Self::Complete(serde_json::from_str(rest).ok()?)),
            _ => None,
        }
    }
}

/// Returns JSON, which has no line break: those in texts are escaped.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("a line of the journal can be serialized")
}

// === impl SettledRecords ===

impl SettledRecords {
    fn body(&self) -> String {
        let Self {
            records,
            accepted,
            rejected,
            rejects,
        } = self;
        let mut body = format!("settled {records} accepted={accepted} rejected={rejected}");
        if let Some(RejectsMark { length, checksum }) = rejects {
            body += &format!(" rejects={length}:{checksum:08x}");
        }
        body
    }

    fn of_body(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let settled = Self {
            records: words
                .next()
                .filter(|text| has_few_ranges(text))?
                .parse()
                .ok()?,
            accepted: words.next()?.strip_prefix("accepted=")?.parse().ok()?,
            rejected: words.next()?.strip_prefix("rejected=")?.parse().ok()?,
            rejects: words.next().map(RejectsMark::of_word).transpose().ok()?,
        };
        let is_counted = settled.accepted.checked_add(settled.rejected);
        let is_whole = words.next().is_none() && is_counted == Some(settled.records.len());
        Some(settled).filter(|_| is_whole)
    }
}

fn has_few_ranges(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b',').count() < MAX_RANGES
}

// === impl RejectsMark ===

impl RejectsMark {
    fn of_word(word: &str) -> Result<Self, ()> {
        let (length, checksum) = word
            .strip_prefix("rejects=")
            .and_then(|mark| mark.split_once(':'))
            .ok_or(())?;
        Ok(Self {
            length: length.parse().map_err(drop)?,
            checksum: u32::from_str_radix(checksum, 16).map_err(drop)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(rejects: Option<RejectsMark>) -> Line {
        Line::Settled(SettledRecords {
            records: "1-4,6".parse().unwrap(),
            accepted: 4,
            rejected: 1,
            rejects,
        })
    }

    #[test]
    fn lines_are_read_as_they_were_written() {
        let mark = RejectsMark {
            length: 120,
            checksum: 0xabc,
        };
        let run = RunLine {
            records: Some(7),
            rejects: Some("a\nb #c".into()),
            ..RunLine::default()
        };
        for line in [settled(None), settled(Some(mark)), Line::Run(run)] {
            let (text, checksum) = line.encode(7);
            let text = text.strip_suffix('\n').unwrap();
            assert!(!text.contains('\n'), "{text}");
            assert_eq!(Line::decode(text, 7), Ok((line.clone(), checksum)));
            let after_another = Line::decode(text, 8);
            assert_eq!(after_another, Err(LineError::Damaged));
        }
        let text = settled(Some(mark)).encode(0).0;
        let expected = "settled 1-4,6 accepted=4 rejected=1 rejects=120:00000abc #";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn each_change_of_a_line_is_found() {
        let (text, _) = settled(Some(RejectsMark::default())).encode(3);
        let text = text.trim_end();
        for at in 0..text.len() {
            for byte in [b'0', b'7', b' ', b'#', b'f'] {
                let mut changed = text.as_bytes().to_vec();
                changed[at] = byte;
                let changed = String::from_utf8(changed).unwrap();
                let is_same = changed == text;
                assert_eq!(Line::decode(&changed, 3).is_ok(), is_same, "{changed}");
            }
            let cut_off = Line::decode(&text[..at], 3);
            assert_eq!(cut_off, Err(LineError::Damaged), "{at}");
        }
    }

    #[test]
    fn a_line_of_another_form_is_no_damage() {
        for body in ["", "x", "end {}", "run [", "settled 1-0", "complete {}"] {
            let checksum = checksum(9, body);
            let decoded = Line::decode(&format!("{body} #{checksum:08x}"), 9);
            assert!(
                matches!(decoded, Err(LineError::Invalid(_))),
                "{body}: {decoded:?}"
            );
        }
    }

    #[test]
    fn the_ranges_of_a_line_are_bounded() {
        let ranges = |count: usize| {
            let ranges: Vec<_> = (1..=count).map(|n| (2 * n).to_string()).collect();
            ranges.join(",")
        };
        assert!(has_few_ranges(&ranges(MAX_RANGES)));
        let more = MAX_RANGES + 1;
        let body = format!("{} accepted={more} rejected=0", ranges(more));
        assert_eq!(SettledRecords::of_body(&body), None);
    }

    #[test]
    fn counts_that_do_not_add_up_are_damage() {
        for body in [
            "1-4 accepted=3 rejected=0",
            "1-4 accepted=18446744073709551615 rejected=5",
            "1-4 accepted=4",
            "1-4 accepted=4 rejected=0 rejects=1",
            "1-4 accepted=4 rejected=0 rejects=1:0 more",
            "4-1 accepted=4 rejected=0",
        ] {
            assert_eq!(SettledRecords::of_body(body), None, "{body}");
        }
        assert!(SettledRecords::of_body("1-4 accepted=4 rejected=0").is_some());
    }
}
