//! The result of a verification, as text, as JSON and as an exit code.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::failures::{Attribution, TypeCount};
use super::sample::{Compared, Expected};
use super::settings::{Span, SpanSource};
use crate::clock::rfc3339;
use crate::display::{self, counted};
use crate::reject::Column;
use crate::report::Exit;

/// The result of a verification. Times are in seconds since 1970.
#[derive(Debug)]
pub(super) struct Verification {
    pub(super) file: String,
    pub(super) span: Span,
    pub(super) read_at: i64,
    /// When the log is complete, if the end of the run is known.
    pub(super) complete_at: Option<i64>,
    /// Whether the log still reaches back to the beginning of the run.
    pub(super) is_retained: bool,
    pub(super) failures: u64,
    pub(super) by_type: BTreeMap<String, TypeCount>,
    /// How many failures are about the file, if it was read for them.
    pub(super) attribution: Option<Attribution>,
    /// Whether the file was not read, or has the content that was sent.
    pub(super) is_content_known: bool,
    pub(super) sample: Option<SampleResult>,
    /// The lag and the retention that were assumed, as texts.
    pub(super) assumed: [String; 2],
}

/// The people who were read back.
#[derive(Debug)]
pub(super) struct SampleResult {
    pub(super) expected: Expected,
    /// The number of records in the file.
    pub(super) records: u64,
    pub(super) compared: Compared,
}

/// The answer of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Conclusion {
    /// The log is complete, and has no failure about the file.
    NoFailures,
    /// There are failures, or people are not as in the file.
    Failures,
    /// The log has no failure, and may lack some.
    Unknown,
}

/// The result as `--json` writes it. The names of the fields are public: scripts read them.
#[derive(Debug, Serialize)]
struct VerificationJson<'a> {
    r#type: &'static str,
    file: &'a str,
    since: String,
    since_from: &'static str,
    /// `null` if the end of the run is unknown, as is `complete_at`.
    until: Option<String>,
    read_at: String,
    complete_at: Option<String>,
    is_retained: bool,
    failures: u64,
    /// `null` without a column that identifies the person, as are the next two.
    failures_in_file: Option<u64>,
    failures_of_others: Option<u64>,
    failures_of_unknown_people: Option<u64>,
    by_type: &'a BTreeMap<String, TypeCount>,
    sample: Option<SampleJson<'a>>,
    not_known: Vec<String>,
    conclusion: Conclusion,
}

#[derive(Debug, Serialize)]
struct SampleJson<'a> {
    records: u64,
    people: u64,
    as_expected: u64,
    different: u64,
    /// People who do not exist and should.
    missing: u64,
    /// People who exist and should not.
    existing: u64,
    attributes: &'a BTreeMap<String, u64>,
    first_line: Option<u64>,
}

// === impl Verification ===

impl Verification {
    /// Returns whether the log may lack failures that are not in it yet.
    fn is_incomplete(&self) -> bool {
        self.complete_at.is_none_or(|at| self.read_at < at)
    }

    pub(super) fn conclusion(&self) -> Conclusion {
        let about_file = match self.attribution {
            Some(attribution) => attribution.in_file + attribution.unknown,
            None => self.failures,
        };
        let is_certain = self.is_retained && !self.is_incomplete();
        let differs = self
            .sample
            .as_ref()
            .is_some_and(|sample| !sample.compared.is_as_expected());
        match (about_file, differs, is_certain) {
            (1.., ..) | (0, true, true) => Conclusion::Failures,
            (0, false, true) => Conclusion::NoFailures,
            // A person who differs may not be applied yet.
            (0, _, false) => Conclusion::Unknown,
        }
    }

    pub(super) fn exit(&self) -> Exit {
        match self.conclusion() {
            Conclusion::NoFailures => Exit::Complete,
            Conclusion::Failures => Exit::Incomplete,
            Conclusion::Unknown => Exit::Stopped,
        }
    }

    /// Returns what a verification cannot know, one sentence each.
    fn not_known(&self) -> Vec<String> {
        let [lag, retention] = &self.assumed;
        let mut notes = vec![
            "whether the App API key is of the workspace to which the records were sent: no \
             response names it"
                .to_owned(),
            format!(
                "whether each failure is in the log within {lag} (--lag) and stays for {retention} \
                 (--retention): Customer.io documents neither"
            ),
        ];
        if self.span.is_unfinished {
            notes.push(
                "what becomes of the records without an outcome: the import is not finished; run \
                 its command again, then verify"
                    .to_owned(),
            );
        }
        if self.span.until.is_none() {
            notes.push(format!(
                "when the run ended: if it was less than {lag} before the log was read, failures \
                 may be missing (--until)"
            ));
        }
        if self.attribution.is_none() {
            notes.push(
                "which failures are about the file: other programs may have sent in the same time; \
                 name the person's column (--id-column) to find out"
                    .to_owned(),
            );
        }
        if !self.is_content_known {
            notes.push(
                "whether the file is as it was sent: only the journal of a file has its digest"
                    .to_owned(),
            );
        }
        notes.push(
            "whether failed events are in the log at the time of their arrival: if they are at \
             their own time, add --since with the time of the earliest event"
                .to_owned(),
        );
        notes.push(match self.sample {
            Some(_) => "whether the people outside of the sample are as in the file".to_owned(),
            None => "whether the people are as in the file: --sample reads some of them".to_owned(),
        });
        notes
    }

    pub(super) fn json(&self) -> String {
        let attribution = self.attribution;
        let json = VerificationJson {
            r#type: "verification",
            file: &self.file,
            since: rfc3339(self.span.since),
            since_from: self.span.source.name(),
            until: self.span.until.map(rfc3339),
            read_at: rfc3339(self.read_at),
            complete_at: self.complete_at.map(rfc3339),
            is_retained: self.is_retained,
            failures: self.failures,
            failures_in_file: attribution.map(|of| of.in_file),
            failures_of_others: attribution.map(|of| of.of_others),
            failures_of_unknown_people: attribution.map(|of| of.unknown),
            by_type: &self.by_type,
            sample: self.sample.as_ref().map(SampleResult::json),
            not_known: self.not_known(),
            conclusion: self.conclusion(),
        };
        serde_json::to_string(&json).expect("a verification can be serialized")
    }

    /// Writes the failures by type.
    fn write_failures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failures = counted(self.failures, "failure", "failures");
        write!(f, "activity log at {}: {failures}", rfc3339(self.read_at))?;
        if let Some(attribution) = &self.attribution {
            let Attribution {
                in_file,
                of_others,
                unknown,
            } = attribution;
            write!(
                f,
                ", {in_file} of people in the file, {of_others} of others, {unknown} of unknown people"
            )?;
        }
        writeln!(f)?;
        for (name, count) in &self.by_type {
            write!(f, "  {} {}", count.failures, display::escaped(name))?;
            match (count.in_file, count.line) {
                (1, Some(line)) => write!(f, ": 1 in the file, on line {line}")?,
                (in_file, Some(line)) => {
                    write!(f, ": {in_file} in the file, the first on line {line}")?;
                }
                (_, None) => {}
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Span {
            since,
            source,
            until,
            ..
        } = self.span;
        let (since, source) = (rfc3339(since), source.shown());
        let until = until.map_or_else(|| "an unknown time".to_owned(), rfc3339);
        writeln!(f, "{}: sent from {since} ({source}) to {until}", self.file)?;
        self.write_failures(f)?;
        if let Some(sample) = &self.sample {
            write!(f, "{sample}")?;
        }
        writeln!(f, "not known:")?;
        for note in self.not_known() {
            writeln!(f, "  {note}")?;
        }
        match self.conclusion() {
            Conclusion::NoFailures => {
                let about = match self.attribution {
                    Some(_) => " of people in the file",
                    None => "",
                };
                write!(f, "result: no failure{about} was found")
            }
            Conclusion::Failures => write!(
                f,
                "result: not everything was applied; look at these people in Customer.io, correct \
                 the records and import them again"
            ),
            Conclusion::Unknown if !self.is_retained => write!(
                f,
                "result: none; the log may no longer reach back to the beginning of the run \
                 (--retention)"
            ),
            Conclusion::Unknown if self.complete_at.is_none() => write!(
                f,
                "result: none; the end of the run is not known, so failures may be missing: add \
                 --until TIME"
            ),
            Conclusion::Unknown => {
                let at = self.complete_at.map_or_else(String::new, rfc3339);
                write!(
                    f,
                    "result: none yet; the log is complete at {at}: run the same command then, or \
                     add --wait"
                )
            }
        }
    }
}

// === impl SpanSource ===

impl SpanSource {
    /// Returns the name for JSON.
    fn name(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Journal => "journal",
            Self::Report => "report",
        }
    }

    fn shown(self) -> &'static str {
        match self {
            Self::Flag => "--since",
            Self::Journal => "the journal",
            Self::Report => "the report",
        }
    }
}

// === impl SampleResult ===

impl SampleResult {
    fn json(&self) -> SampleJson<'_> {
        let compared = &self.compared;
        let (missing, existing) = match self.expected {
            Expected::Attributes | Expected::Exists => (compared.wrong_existence, 0),
            Expected::Gone => (0, compared.wrong_existence),
        };
        SampleJson {
            records: self.records,
            people: compared.people,
            as_expected: compared.equal,
            different: compared.different,
            missing,
            existing,
            attributes: &compared.attributes,
            first_line: compared.first_line,
        }
    }
}

impl fmt::Display for SampleResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Compared {
            people,
            equal,
            wrong_existence,
            different,
            attributes,
            first_line,
        } = &self.compared;
        let records = display::records(self.records);
        write!(f, "sample: {people} of {records} read back: ")?;
        match self.expected {
            Expected::Attributes => {
                write!(
                    f,
                    "equal {equal}, different {different}, missing {wrong_existence}"
                )?;
            }
            Expected::Exists => write!(f, "existing {equal}, missing {wrong_existence}")?,
            Expected::Gone => write!(f, "gone {equal}, existing {wrong_existence}")?,
        }
        match first_line {
            Some(line) => writeln!(f, "; the first such record is on line {line}")?,
            None => writeln!(f)?,
        }
        if attributes.is_empty() {
            return Ok(());
        }
        let shown = |(name, people): (&String, &u64)| {
            let people = counted(*people, "person", "people");
            format!("{} ({people})", Column::Name(name.clone()))
        };
        let shown: Vec<_> = attributes.iter().map(shown).collect();
        writeln!(f, "  attributes that differ: {}", shown.join(", "))
    }
}
