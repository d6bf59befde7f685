//! The rejects file: each record that was not accepted, as it is in the input, with the reason.
//!
//! Its rows have the columns of the input and those of [`REJECTS_COLUMNS`], as CSV for CSV and as
//! JSON lines for JSON lines. A corrected file can be imported: the added columns are not sent.
//!
//! Rows of rejected records come first, and the journal has their length. Records that are unknown
//! or were not sent come last, when the run ends: the next run takes these up, and cuts their rows.

use std::fs::{File, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::Crc;
use serde_json::Value;

use crate::input::{Layout, Original, REJECTS_COLUMNS, push_cell, push_member};
use crate::journal::{Progress, RejectsMark};
use crate::problems::Problem;
use crate::{crash, display};

/// A rejects file, open for writing.
#[derive(Debug)]
pub(crate) struct RejectsFile {
    file: File,
    path: PathBuf,
    header: Vec<u8>,
    /// The length up to the last record that is rejected.
    length: u64,
    checksum: Crc,
}

// === impl RejectsFile ===

impl RejectsFile {
    /// Finds where the rows of earlier runs end, by the marks of the journal.
    ///
    /// # Errors
    ///
    /// Fails if the file of an earlier run is missing or was changed since, and if an import that
    /// goes on would write over a file that it does not know.
    pub(crate) fn new(
        file: File,
        path: &Path,
        layout: &Layout,
        progress: &Progress,
    ) -> Result<Self> {
        lock(&file, path)?;
        let mark = progress.rejects.get(&name(path));
        let is_known = mark.is_some() || progress.settled.is_empty();
        let mark = mark.copied().unwrap_or_default();
        let read = measure(&file, mark.length).and_then(|read| Ok((read, file.metadata()?.len())));
        let ((length, checksum), size) = read.with_context(|| display::path(path))?;
        let why = if !is_known && size > 0 {
            Some("is not empty, and is not the rejects file of the earlier run")
        } else if size == 0 && mark.length > 0 {
            Some("is missing or empty, but has rejected records of the earlier run")
        } else if length < mark.length || checksum.sum() != mark.checksum {
            Some("was changed since the earlier run")
        } else {
            None
        };
        if let Some(why) = why {
            bail!(
                "{}: the rejects file {why}; restore it, or name a new file with --rejects: it gets \
                 the records that are rejected from now on",
                display::path(path)
            );
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            header: header(layout),
            length,
            checksum,
        })
    }

    /// Removes what comes after the rows of earlier runs.
    pub(crate) fn cut(&self) -> Result<()> {
        // Synced: otherwise the rows could come back with a loss of power, after the run has
        // finished.
        let cut = self.file.set_len(self.length);
        cut.and_then(|()| self.file.sync_all()).with_context(|| {
            let path = display::path(&self.path);
            format!("{path}: the content of an earlier run cannot be removed; name another file")
        })
    }

    /// Appends rows and syncs them to disk.
    pub(crate) fn append(&mut self, rows: &[u8]) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let written = self.write(rows);
        if written.is_err() {
            // A full disk holds a part of the rows. An error is ignored: the first one is reported.
            let _ = self.file.set_len(self.length);
        }
        let header = written?;
        for bytes in [&header, rows] {
            self.checksum.update(bytes);
            self.length += bytes.len() as u64;
        }
        Ok(())
    }

    /// Appends rows behind those that the journal counts.
    pub(crate) fn append_uncounted(&mut self, rows: &[u8]) -> io::Result<()> {
        match rows.is_empty() {
            true => Ok(()),
            false => self.write(rows).map(drop),
        }
    }

    /// Writes rows at the end, after the header if they are the first ones. Returns the header.
    fn write(&mut self, rows: &[u8]) -> io::Result<Vec<u8>> {
        let header = match self.length {
            0 => self.header.clone(),
            _ => Vec::new(),
        };
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(&header)?;
        if crash::is_due("half of the rows") {
            self.file.write_all(&rows[..rows.len() / 2])?;
            crash::now();
        }
        self.file.write_all(rows)?;
        crash::point("rows that are not synced");
        self.file.sync_data()?;
        crash::point("rows");
        Ok(header)
    }

    /// Returns the length and the checksum for the journal.
    pub(crate) fn mark(&self) -> RejectsMark {
        RejectsMark {
            length: self.length,
            checksum: self.checksum.sum(),
        }
    }
}

/// Locks the file until it is closed. The journals of two inputs are different files, so only this
/// lock keeps two imports from writing over the rows of each other.
fn lock(file: &File, path: &Path) -> Result<()> {
    // A device such as `/dev/null` keeps no rows.
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Ok(());
    }
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => bail!(
            "{}: another import is writing this rejects file; wait until it ends, or name another \
             file with --rejects",
            display::path(path)
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{}: cannot be locked", display::path(path)))
        }
    }
}

/// Returns the name by which the journal knows a rejects file: without its directory, so that a
/// folder can be moved between two runs.
pub(crate) fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    // A name that is not UTF-8 is escaped: two of them must not become one.
    name.to_str()
        .map_or_else(|| display::path(Path::new(name)), str::to_owned)
}

/// Returns the length of the file, but at most `most`, and the checksum of so much of it.
fn measure(file: &File, most: u64) -> io::Result<(u64, Crc)> {
    let mut checksum = Crc::new();
    let mut source = BufReader::new(file).take(most);
    let mut buffer = [0; 64 * 1024];
    let mut length = 0;
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok((length, checksum)),
            Ok(count) => {
                checksum.update(&buffer[..count]);
                length += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Returns the first line of a file with this layout, if it has one.
fn header(layout: &Layout) -> Vec<u8> {
    let Layout::Csv { delimiter, columns } = layout else {
        return Vec::new();
    };
    let names = columns.iter().map(String::as_str).chain(REJECTS_COLUMNS);
    line_of_cells(names.map(str::as_bytes), *delimiter)
}

fn line_of_cells<'a>(cells: impl Iterator<Item = &'a [u8]>, delimiter: u8) -> Vec<u8> {
    let mut line = Vec::new();
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            line.push(delimiter);
        }
        push_cell(&mut line, cell, delimiter);
    }
    line.push(b'\n');
    line
}

/// Writes a record and why it was not accepted, as a row of a rejects file.
pub(crate) fn push_row(
    rows: &mut Vec<u8>,
    layout: &Layout,
    problem: &Problem,
    original: Option<&Original>,
) {
    let (fields, text) = match original {
        Some(Original::Fields(fields)) => (&fields[..], None),
        Some(Original::Text(text)) => (&[][..], Some(&text[..])),
        None => (&[][..], None),
    };
    let line = problem.line.to_string();
    let response = problem.response.as_deref();
    let Layout::Csv { delimiter, columns } = layout else {
        let mut members = fields.to_vec();
        let text = text.map(String::from_utf8_lossy);
        let values = [
            Some(Value::from(problem.line)),
            Some(problem.outcome.into()),
            Some(problem.reason.as_str().into()),
            response.map(Value::from),
            text.map(Value::from),
        ];
        for (name, value) in REJECTS_COLUMNS.iter().zip(values) {
            if let Some(value) = value {
                push_member(&mut members, name, &value.to_string());
            }
        }
        rows.push(b'{');
        rows.extend_from_slice(&members);
        rows.extend_from_slice(b"}\n");
        return;
    };
    match original {
        Some(Original::Fields(fields)) => rows.extend_from_slice(fields),
        // Empty cells.
        Some(Original::Text(_)) | None => {
            rows.extend(std::iter::repeat_n(
                *delimiter,
                columns.len().saturating_sub(1),
            ));
        }
    }
    if !columns.is_empty() {
        rows.push(*delimiter);
    }
    let cells = [
        line.as_bytes(),
        problem.outcome.as_bytes(),
        problem.reason.as_bytes(),
        response.unwrap_or_default().as_bytes(),
        text.unwrap_or_default(),
    ];
    rows.extend_from_slice(&line_of_cells(cells.into_iter(), *delimiter));
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::reject::RecordError;

    fn csv() -> Layout {
        Layout::Csv {
            delimiter: b',',
            columns: vec!["id".into(), "a, b".into()],
        }
    }

    fn problem(response: Option<&str>) -> Problem {
        Problem {
            response: response.map(str::to_owned),
            ..RecordError::named("id", "has no value").at(7).into()
        }
    }

    fn row(layout: &Layout, response: Option<&str>, original: Option<&Original>) -> String {
        let mut row = Vec::new();
        push_row(&mut row, layout, &problem(response), original);
        String::from_utf8(row).unwrap()
    }

    fn fields(text: &str) -> Original {
        Original::Fields(text.as_bytes().into())
    }

    fn text(text: &str) -> Original {
        Original::Text(text.as_bytes().into())
    }

    #[test]
    fn rows_of_csv_have_the_columns_of_the_input_and_the_reason() {
        let check = |layout: &Layout, response, original: Option<Original>, expected: &str| {
            assert_eq!(row(layout, response, original.as_ref()), expected);
        };
        let reason = r#"7,rejected,"column ""id"": has no value""#;
        let expected = format!(",\"x,y\",{reason},,\n");
        check(&csv(), None, Some(fields(",\"x,y\"")), &expected);
        let expected = format!("1,,{reason},\"no, \"\"thanks\"\"\",\n");
        check(
            &csv(),
            Some("no, \"thanks\""),
            Some(fields("1,")),
            &expected,
        );
        let expected = format!(",,{reason},,\"1,2,3\"\n");
        check(&csv(), None, Some(text("1,2,3")), &expected);
        check(&csv(), None, None, &format!(",,{reason},,\n"));
        let header = String::from_utf8(header(&csv())).unwrap();
        assert_eq!(
            header,
            "id,\"a, b\",_line,_outcome,_reason,_response,_record\n"
        );
    }

    #[test]
    fn rows_of_json_lines_have_the_members_of_the_input_and_the_reason() {
        let reason = r#""_line":7,"_outcome":"rejected","_reason":"column \"id\": has no value""#;
        let check = |response, original: Option<Original>, expected: &str| {
            let found = row(&Layout::Json, response, original.as_ref());
            assert_eq!(found, format!("{{{expected}}}\n"));
            assert!(serde_json::from_str::<Value>(&found).is_ok());
        };
        check(
            None,
            Some(fields("\"id\":1.10")),
            &format!("\"id\":1.10,{reason}"),
        );
        let expected = format!("{reason},\"_response\":\"no\"");
        check(Some("no"), Some(fields("")), &expected);
        check(
            None,
            Some(text("{'a'")),
            &format!("{reason},\"_record\":\"{{'a'\""),
        );
        assert!(header(&Layout::Json).is_empty());
    }

    struct Folder(tempfile::TempDir, Progress);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap(), Progress::default())
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("rejects.csv")
        }

        fn open(&self) -> Result<RejectsFile> {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            let file = options.open(self.path()).unwrap();
            RejectsFile::new(file, &self.path(), &csv(), &self.1)
        }

        fn content(&self) -> String {
            fs::read_to_string(self.path()).unwrap()
        }

        fn settle(&mut self, file: &RejectsFile) {
            self.1.rejects.insert("rejects.csv".into(), file.mark());
            self.1.settled.insert(self.1.settled.len() + 1);
        }

        #[track_caller]
        fn check_refused(&self, expected: &str) {
            let before = fs::read(self.path()).ok();
            let error = self.open().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert_eq!(self.content().as_bytes(), before.unwrap_or_default());
        }
    }

    const HEADER: &str = "id,\"a, b\",_line,_outcome,_reason,_response,_record\n";

    #[test]
    fn rows_that_the_journal_does_not_count_are_cut() {
        let mut folder = Folder::new();
        let mut file = folder.open().unwrap();
        file.append(b"one\n").unwrap();
        folder.settle(&file);
        file.append(b"two\n").unwrap();
        file.append_uncounted(b"left\n").unwrap();
        assert_eq!(folder.content(), format!("{HEADER}one\ntwo\nleft\n"));
        drop(file);

        let mut file = folder.open().unwrap();
        assert_eq!(folder.content(), format!("{HEADER}one\ntwo\nleft\n"));
        file.cut().unwrap();
        file.append(b"three\n").unwrap();
        assert_eq!(folder.content(), format!("{HEADER}one\nthree\n"));
        folder.settle(&file);
        drop(file);
        assert!(folder.open().is_ok(), "the checksum goes on after a cut");
    }

    #[test]
    fn a_second_import_cannot_write_the_file() {
        let folder = Folder::new();
        let file = folder.open().unwrap();
        let error = folder.open().unwrap_err().to_string();
        assert!(error.contains("another import is writing"), "{error}");
        drop(file);
        assert!(folder.open().is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn each_name_is_known_by_a_text_of_its_own() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let of = |bytes: &[u8]| name(&Path::new("folder").join(OsStr::from_bytes(bytes)));
        assert_eq!(of("r\u{e9}jets.csv".as_bytes()), "r\u{e9}jets.csv");
        assert_eq!(of(b"a\xff"), "a\\xff");
        assert_ne!(of(b"a\xff"), of(b"a\xfe"));
    }

    #[test]
    fn a_new_import_begins_the_file_anew() {
        let folder = Folder::new();
        fs::write(folder.path(), "older").unwrap();
        let mut file = folder.open().unwrap();
        file.cut().unwrap();
        file.append_uncounted(b"left\n").unwrap();
        assert_eq!(folder.content(), format!("{HEADER}left\n"));
    }

    #[test]
    fn a_file_that_is_missing_or_was_changed_is_refused() {
        let mut folder = Folder::new();
        let mut file = folder.open().unwrap();
        file.append(b"one\n").unwrap();
        folder.settle(&file);
        drop(file);
        fs::write(folder.path(), format!("{HEADER}two\n")).unwrap();
        folder.check_refused("was changed since the earlier run");
        fs::write(folder.path(), HEADER).unwrap();
        folder.check_refused("was changed since the earlier run");
        fs::remove_file(folder.path()).unwrap();
        folder.check_refused("is missing or empty");

        folder.1.rejects.clear();
        assert!(folder.open().is_ok(), "a new file gets the further rows");
        fs::write(folder.path(), "another").unwrap();
        folder.check_refused("is not the rejects file of the earlier run");
    }
}
