use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use sha2::{Digest, Sha256};

use super::bytes::Bytes;
use super::content;
use super::csv::CsvRows;
use super::gzip::Gunzip;
use super::json::JsonRows;
use super::rows::{Dialect, Lines, Rows};
use super::source::Source;
use crate::files::{self, Identity};

/// How records are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// RFC 4180 with a header; --delimiter names another delimiter than the comma
    Csv,
    /// One JSON object a line
    #[value(alias = "ndjson")]
    Jsonl,
}

/// Names where records come from and how they are written.
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
    /// Opens an input once for all that is read of it; `-` is the standard input.
    ///
    /// # Errors
    ///
    /// Fails where the name does not tell the format, and where there is nothing to read.
    pub(crate) fn open(path: &Path, format: Option<Format>) -> Result<Self> {
        let (format, gzip) = told(path, format)?;
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

    /// Adds what is known about the file beside its format.
    ///
    /// # Errors
    ///
    /// Fails where a delimiter is given for JSON lines.
    pub(crate) fn dialect(self, dialect: Dialect) -> Result<Self> {
        ensure!(
            self.format == Format::Csv || dialect.delimiter.is_none(),
            "{self}: JSON lines have no delimiter; leave out --delimiter or add --format csv"
        );
        Ok(Self { dialect, ..self })
    }

    /// Returns the path where the input is a file; the standard input has none.
    pub(crate) fn path(&self) -> Option<&Path> {
        (!is_stdin(&self.path)).then_some(&self.path)
    }

    /// Tells whether the input can be read twice: files can, the standard input and pipes cannot.
    pub(crate) fn is_replayable(&self) -> bool {
        self.source.is_replayable()
    }

    /// Returns what tells the file from others; streams that have a name keep nothing.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.source.identity()
    }

    /// Begins with what tells how to read the rest: the header of a CSV file, the first JSON line.
    pub(crate) fn rows(&self) -> Result<Rows> {
        let bytes = self.bytes()?;
        let lines = match self.format {
            Format::Csv => {
                CsvRows::new(bytes, &self.dialect).map(|rows| Lines::Csv(Box::new(rows)))
            }
            Format::Jsonl => JsonRows::new(bytes).map(Lines::Json),
        };
        let lines = lines.with_context(|| self.to_string())?;
        Ok(Rows::new(lines, self.dialect.clone()))
    }

    /// Returns the SHA-256 of the decompressed content.
    pub(crate) fn digest(&self) -> Result<[u8; 32]> {
        let mut bytes = self.bytes()?;
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

    fn bytes(&self) -> Result<Bytes> {
        let reader: Bytes = Box::new(self.source.reader());
        let bytes = match self.gzip {
            true => Box::new(Gunzip::new(reader)),
            false => reader,
        };
        content::check(bytes).with_context(|| self.to_string())
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.path))
    }
}

/// Tells the format from the end of the name, `.gz` aside, unless it is given; and whether the
/// content is compressed.
fn told(path: &Path, format: Option<Format>) -> Result<(Format, bool)> {
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
            "{}: the name does not tell the format; add --format csv or --format jsonl",
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
        files::shown(path)
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
        assert_eq!(told(Path::new(path), None).ok(), expected, "{path}");
    }

    #[test]
    fn the_name_tells_the_format() {
        check("people.csv", Some((Format::Csv, false)));
        check("people.CSV.GZ", Some((Format::Csv, true)));
        check("events.jsonl", Some((Format::Jsonl, false)));
        check("a.b/events.ndjson.gz", Some((Format::Jsonl, true)));
        check("events.json", None);
        check("people", None);
        check("-", None);
    }

    #[test]
    fn the_format_given_overrides_the_name() {
        let found = told(Path::new("people.txt.gz"), Some(Format::Csv)).unwrap();
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
    fn a_missing_file_is_named() {
        let error = Input::open(Path::new("no/such.csv"), None).unwrap_err();
        let said = format!("{error:#}");
        assert!(
            said.starts_with("no/such.csv: cannot be opened; check the path: "),
            "{said}"
        );
    }
}
