use super::object;

/// The columns that the rows of a rejects file have beside those of the input. A record of a
/// corrected rejects file may still have them: they are not sent, unless a flag names them.
///
/// In this order: the line of the record in the input, its outcome, the reason in words of this
/// program, the API's text, and the record itself if it could not be split into its columns.
pub(crate) const REJECTS_COLUMNS: [&str; 5] =
    ["_line", "_outcome", "_reason", "_response", "_record"];

/// How the rows of a rejects file are written: as those of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Csv {
        delimiter: u8,
        /// The columns of the input, without [`REJECTS_COLUMNS`].
        columns: Vec<String>,
    },
    Json,
}

/// A record as it is in the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Original {
    /// The cells of a CSV record with their delimiters, or the members of a JSON object with their
    /// commas. [`REJECTS_COLUMNS`] are left out.
    Fields(Box<[u8]>),
    /// The text of a record that cannot be split into its columns, at most 1 MiB of it.
    Text(Box<[u8]>),
}

// === impl Original ===

impl Original {
    /// Returns the cells of a CSV record in which the columns at `kept` are true.
    pub(super) fn of_cells<'a>(
        cells: impl Iterator<Item = &'a [u8]>,
        kept: &[bool],
        delimiter: u8,
    ) -> Self {
        let mut text = Vec::new();
        let kept = cells.zip(kept).filter(|(_, is_kept)| **is_kept);
        for (index, (cell, _)) in kept.enumerate() {
            if index > 0 {
                text.push(delimiter);
            }
            push_cell(&mut text, cell, delimiter);
        }
        Self::Fields(text.into())
    }

    /// Returns the members of a JSON object, or the text if it is no object or has a name twice.
    pub(super) fn of_json(text: &[u8]) -> Self {
        let members = str::from_utf8(text).ok().and_then(object::members);
        let Some(members) = members else {
            return Self::of_text(text);
        };
        let mut text = Vec::new();
        for (name, value) in members {
            if REJECTS_COLUMNS.contains(&name.as_str()) {
                continue;
            }
            push_member(&mut text, &name, value.get());
        }
        Self::Fields(text.into())
    }

    /// Returns the number of bytes.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Fields(text) | Self::Text(text) => text.len(),
        }
    }

    /// Returns the text of a record, without the line breaks around it.
    pub(super) fn of_text(text: &[u8]) -> Self {
        let is_text = |byte: &u8| !matches!(byte, b'\r' | b'\n');
        let start = text.iter().position(is_text).unwrap_or(text.len());
        let end = text
            .iter()
            .rposition(is_text)
            .map_or(start, |last| last + 1);
        Self::Text(text[start..end].into())
    }
}

/// Writes a cell of CSV, in quotes if it needs them.
pub(crate) fn push_cell(text: &mut Vec<u8>, cell: &[u8], delimiter: u8) {
    let needs_quotes = |byte: &u8| *byte == delimiter || matches!(byte, b'"' | b'\r' | b'\n');
    if !cell.iter().any(needs_quotes) {
        text.extend_from_slice(cell);
        return;
    }
    text.push(b'"');
    for byte in cell {
        if *byte == b'"' {
            text.push(b'"');
        }
        text.push(*byte);
    }
    text.push(b'"');
}

/// Writes a member of a JSON object, with a comma after the ones before. `value` is JSON.
pub(crate) fn push_member(text: &mut Vec<u8>, name: &str, value: &str) {
    if !text.is_empty() {
        text.push(b',');
    }
    let name = serde_json::to_vec(name).expect("text can be serialized");
    text.extend_from_slice(&name);
    text.push(b':');
    text.extend_from_slice(value.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(original: &Original) -> String {
        match original {
            Original::Fields(text) => String::from_utf8(text.to_vec()).unwrap(),
            Original::Text(text) => panic!("{text:?} has no fields"),
        }
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let cells: [&[u8]; 6] = [
            b"a",
            b"",
            b"b;c",
            b"say \"hi\"",
            b"two\nlines",
            b" =\"007\"",
        ];
        let original = Original::of_cells(cells.into_iter(), &[true; 6], b';');
        let expected = "a;;\"b;c\";\"say \"\"hi\"\"\";\"two\nlines\";\" =\"\"007\"\"\"";
        assert_eq!(fields(&original), expected);
        let kept = [true, false, false, false, false, true];
        let original = Original::of_cells(cells.into_iter(), &kept, b',');
        assert_eq!(fields(&original), "a,\" =\"\"007\"\"\"");
    }

    #[test]
    fn members_keep_the_text_of_their_values() {
        let line = br#" {"id": 1.10,"_line":3,"_reason":"x", "a\"b" :[1, 2],"_lines":1e400} "#;
        let original = Original::of_json(line);
        assert_eq!(
            fields(&original),
            r#""id":1.10,"a\"b":[1, 2],"_lines":1e400"#
        );
        assert_eq!(fields(&Original::of_json(b"{}")), "");
    }

    #[test]
    fn a_line_that_is_no_object_is_kept_as_text() {
        for line in ["7", "{\"a\":1", "{\"a\":1,\"a\":2}", "{'a':1}", ""] {
            let text = Original::Text(line.as_bytes().into());
            assert_eq!(Original::of_json(line.as_bytes()), text, "{line}");
        }
        let text = Original::of_text(b"\n\r\n1,\"2\n3\"\r\n");
        assert_eq!(text, Original::Text(b"1,\"2\n3\""[..].into()));
        assert_eq!(Original::of_text(b"\n").size(), 0);
    }
}
