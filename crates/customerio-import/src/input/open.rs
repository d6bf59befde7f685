use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use sha2::{Digest, Sha256};

use super::changed::{Use, Verified};
use super::content;
use super::csv::CsvRows;
use super::dialect::Dialect;
use super::gzip::Gunzip;
use super::json::JsonRows;
use super::rows::{RowReader, Rows};
use super::source::{Bytes, Source};
use crate::display;
use crate::files::Identity;

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// CSV as in RFC 4180, with a header; see --delimiter
    Csv,
    /// One JSON object per line
    #[value(alias = "ndjson")]
    Jsonl,
}

/// An input that was opened, and how to read it.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    path: PathBuf,
    format: Format,
    gzip: bool,
    dialect: Dialect,
    source: Source,
}

// === impl Format ===

impl Format {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            _ => None,
        }
    }
}

// === impl Input ===

impl Input {
    /// Opens an input; `-` is the standard input. Later reads use the open file, not the path.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be opened, and if neither `format` nor the name gives the format.
    pub(crate) fn open(path: &Path, format: Option<Format>) -> Result<Self> {
        let (format, gzip) = detect(path, format)?;
        let source = if is_stdin(path) {
            Source::Stdin
        } else {
            Source::open(path).with_context(|| shown(path))?
        };
        Ok(Self {
            path: path.to_owned(),
            format,
            gzip,
            dialect: Dialect::default(),
            source,
        })
    }

    /// Sets how to read the file, apart from its format.
    ///
    /// # Errors
    ///
    /// Fails if a delimiter is given for JSON lines.
    pub(crate) fn dialect(self, dialect: Dialect) -> Result<Self> {
        ensure!(
            self.format == Format::Csv || dialect.delimiter.is_none(),
            "{self}: JSON lines have no delimiter; leave out --delimiter or add --format csv"
        );
        Ok(Self { dialect, ..self })
    }

    /// Returns the path; the standard input has none.
    pub(crate) fn path(&self) -> Option<&Path> {
        (!is_stdin(&self.path)).then_some(&self.path)
    }

    /// Returns whether the input can be read twice: a file can, a pipe and the standard input
    /// cannot.
    pub(crate) fn is_replayable(&self) -> bool {
        self.source.is_replayable()
    }

    /// Returns the identity of the file; a named stream has none.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.source.identity()
    }

    /// Starts to read: the header of a CSV file, the first line of JSON lines.
    ///
    /// # Errors
    ///
    /// Fails if the input cannot be read, and if its content is of another format.
    pub(crate) fn rows(&self) -> Result<Rows> {
        self.rows_to_check(None)
    }

    /// Starts to read a file of which nothing is sent meanwhile. With the digest of an earlier
    /// pass, reading fails at the end unless the content has it.
    ///
    /// # Errors
    ///
    /// Fails as [`Input::rows`] does.
    pub(crate) fn rows_to_check(&self, digest: Option<[u8; 32]>) -> Result<Rows> {
        self.rows_of(self.bytes(Use::Check, digest)?)
    }

    /// Starts to read a file whose records are sent meanwhile. With the digest of an earlier pass,
    /// reading fails at the end unless the content has it.
    ///
    /// # Errors
    ///
    /// Fails as [`Input::rows`] does.
    pub(crate) fn rows_to_send(&self, digest: Option<[u8; 32]>) -> Result<Rows> {
        self.rows_of(self.bytes(Use::Send, digest)?)
    }

    fn rows_of(&self, bytes: Bytes) -> Result<Rows> {
        let reader = match self.format {
            Format::Csv => {
                CsvRows::new(bytes, &self.dialect).map(|rows| RowReader::Csv(Box::new(rows)))
            }
            Format::Jsonl => JsonRows::new(bytes).map(RowReader::Json),
        };
        let reader = reader.with_context(|| self.to_string())?;
        Ok(Rows::new(reader))
    }

    /// Returns the SHA-256 of the decompressed content.
    pub(crate) fn digest(&self) -> Result<[u8; 32]> {
        let mut bytes = self.bytes(Use::Check, None)?;
        let mut digest = Sha256::new();
        let mut chunk = [0; 64 * 1024];
        loop {
            match bytes.read(&mut chunk) {
                Ok(0) => return Ok(digest.finalize().into()),
                Ok(count) => digest.update(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).with_context(|| format!("{self}: cannot be read")),
            }
        }
    }

    fn bytes(&self, used: Use, digest: Option<[u8; 32]>) -> Result<Bytes> {
        let mut bytes: Bytes = Box::new(self.source.reader(used));
        if self.gzip {
            bytes = Box::new(Gunzip::new(bytes));
        }
        if let Some(digest) = digest {
            bytes = Box::new(Verified::new(bytes, digest, used));
        }
        // After decompression, so that the content is checked and not the archive.
        content::check(bytes).with_context(|| self.to_string())
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.path))
    }
}

/// Returns the format, from the name without `.gz` if none is given, and whether the content is
/// compressed.
fn detect(path: &Path, format: Option<Format>) -> Result<(Format, bool)> {
    let gzip = path
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("gz"));
    let plain = if gzip {
        path.with_extension("")
    } else {
        path.to_owned()
    };
    let Some(format) = format.or_else(|| Format::of(&plain)) else {
        bail!(
            "{}: the name does not show the format; add --format csv or --format jsonl",
            shown(path)
        );
    };
    Ok((format, gzip))
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn shown(path: &Path) -> String {
    if is_stdin(path) {
        "standard input".into()
    } else {
        display::path(path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn check(path: &str, expected: Option<(Format, bool)>) {
        assert_eq!(detect(Path::new(path), None).ok(), expected, "{path}");
    }

    #[test]
    fn the_name_gives_the_format() {
        check("people.csv", Some((Format::Csv, false)));
        check("people.CSV.GZ", Some((Format::Csv, true)));
        check("events.jsonl", Some((Format::Jsonl, false)));
        check("a.b/events.ndjson.gz", Some((Format::Jsonl, true)));
        check("events.json", None);
        check("people", None);
        check("-", None);
    }

    #[test]
    fn a_given_format_overrides_the_name() {
        let found = detect(Path::new("people.txt.gz"), Some(Format::Csv)).unwrap();
        assert_eq!(found, (Format::Csv, true));
    }

    #[test]
    fn the_digest_is_of_the_decompressed_content() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, packed) = (folder.path().join("a.csv"), folder.path().join("b.csv.gz"));
        let content = "id,name\n1,Ada\n".repeat(10_000);
        std::fs::write(&plain, &content).unwrap();
        let mut encoder = GzEncoder::new(File::create(&packed).unwrap(), Compression::fast());
        encoder.write_all(content.as_bytes()).unwrap();
        encoder.finish().unwrap();

        let digest = |path: &Path| Input::open(path, None).unwrap().digest().unwrap();
        assert_eq!(digest(&plain), digest(&packed));
        assert_eq!(digest(&plain), <[u8; 32]>::from(Sha256::digest(content)));
        assert_eq!(
            Input::open(&packed, None).unwrap().rows().unwrap().count(),
            19_999
        );
    }

    #[test]
    fn the_error_of_a_missing_file_names_it() {
        let error = Input::open(Path::new("no/such.csv"), None).unwrap_err();
        let message = format!("{error:#}");
        assert!(
            message
                .starts_with("no/such.csv: cannot be opened; check the path and its permissions: "),
            "{message}"
        );
    }
}
