//! Ids that are valid but probably wrong, because a spreadsheet or a program has changed them.

use std::fmt;

use serde_json::Value;

/// Why an id is suspect. Only a person can know whether it is right, so the plan asks about it and
/// no record is rejected for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SuspectId {
    /// `1.23457E+15`: different ids were rounded to the same one.
    Scientific,
    /// `2.0`: an id that was read as a number.
    Decimals,
    /// `="00123"`.
    Formula,
    /// `#N/A`, `#REF!`, `####`.
    SpreadsheetError,
    /// `NULL`, `None`, `undefined`.
    NoValue,
    /// A space at an end, a control character, a zero-width space.
    Invisible,
}

/// Words for "no value", in lower case.
const NO_VALUES: [&str; 13] = [
    "null",
    "(null)",
    "<null>",
    "none",
    "nil",
    "nan",
    "n/a",
    "na",
    "undefined",
    "\\n",
    "-",
    "--",
    "[object object]",
];

impl SuspectId {
    pub(crate) const ALL: [Self; 6] = [
        Self::Scientific,
        Self::Decimals,
        Self::Formula,
        Self::SpreadsheetError,
        Self::NoValue,
        Self::Invisible,
    ];

    /// Returns why an id is suspect, if it is. JSON integers are not.
    pub(crate) fn of(id: &Value) -> Option<Self> {
        let id = id.as_str().filter(|id| !id.is_empty())?;
        // From certain signs to weak ones: an id may have several.
        let folded = id.to_lowercase();
        if id.trim() != id || id.contains(is_invisible) {
            Some(Self::Invisible)
        } else if id.starts_with('=') {
            Some(Self::Formula)
        } else if is_spreadsheet_error(id) {
            Some(Self::SpreadsheetError)
        } else if NO_VALUES.contains(&&*folded) {
            Some(Self::NoValue)
        } else if is_scientific(&folded) {
            Some(Self::Scientific)
        } else if has_decimals(id) {
            Some(Self::Decimals)
        } else {
            None
        }
    }
}

impl fmt::Display for SuspectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scientific => "in scientific notation",
            Self::Decimals => "with zero decimals",
            Self::Formula => "written as a formula",
            Self::SpreadsheetError => "replaced by a spreadsheet error",
            Self::NoValue => "replaced by a word for no value",
            Self::Invisible => "with white space at an end or an invisible character",
        })
    }
}

/// Returns whether a character is invisible or looks like a space.
///
/// These are: control characters, every white space except U+0020, the code points with the Unicode
/// property `Default_Ignorable_Code_Point` (variation selectors excepted), the Braille blank, and
/// the block Specials.
fn is_invisible(letter: char) -> bool {
    letter.is_control()
        || (letter.is_whitespace() && letter != ' ')
        || matches!(
            letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffd}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e00ff}'
        )
}

fn is_spreadsheet_error(id: &str) -> bool {
    let Some(name) = id.strip_prefix('#') else {
        return false;
    };
    let is_filler = name.len() > 1 && name.bytes().all(|byte| byte == b'#');
    let is_named = name == "N/A"
        || name.strip_suffix(['!', '?']).is_some_and(|name| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte == b'/' || byte == b'0')
        });
    is_filler || is_named
}

/// Returns true for `1.23457e+15` and `1,23457e+15`. An id such as `12e5` may be right.
fn is_scientific(folded: &str) -> bool {
    let Some((mantissa, exponent)) = folded.split_once('e') else {
        return false;
    };
    let Some(exponent) = exponent.strip_prefix(['+', '-']) else {
        return false;
    };
    let mantissa = mantissa.trim_start_matches('-');
    let (whole, decimals) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, ""));
    whole.len() == 1
        && is_digits(whole)
        && (decimals.is_empty() || is_digits(decimals))
        && is_digits(exponent)
}

fn has_decimals(id: &str) -> bool {
    id.split_once(['.', ',']).is_some_and(|(whole, decimals)| {
        is_digits(whole.trim_start_matches('-'))
            && !decimals.is_empty()
            && decimals.bytes().all(|byte| byte == b'0')
    })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_programs_have_changed_are_suspect() {
        let table: [(SuspectId, &[&str]); 6] = [
            (
                SuspectId::Scientific,
                &["1.23457E+15", "1e+10", "9.9E-05", "1,23457E+15", "-1.5E+20"],
            ),
            (SuspectId::Decimals, &["2.0", "12.00", "-1.0", "3,0"]),
            (SuspectId::Formula, &["=\"00123\"", "=A1", "=1+1"]),
            (
                SuspectId::SpreadsheetError,
                &["#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "####"],
            ),
            (
                SuspectId::NoValue,
                &[
                    "NULL",
                    "null",
                    "None",
                    "nil",
                    "NaN",
                    "N/A",
                    "undefined",
                    "\\N",
                    "-",
                ],
            ),
            (
                SuspectId::Invisible,
                &[
                    " 1",
                    "1 ",
                    "1\n",
                    "a\tb",
                    "\u{feff}1",
                    "1\u{200b}",
                    "a\u{a0}b",
                    "\u{fffd}",
                    "a\u{2003}b",
                    "a\u{2028}b",
                    "a\u{3164}b",
                    "a\u{ffa0}b",
                    "a\u{e0041}b",
                ],
            ),
        ];
        for (suspect, ids) in table {
            for id in ids {
                assert_eq!(SuspectId::of(&Value::from(*id)), Some(suspect), "{id:?}");
            }
        }
    }

    #[test]
    fn usual_ids_are_not_suspect() {
        for id in [
            "", "1", "00123", "u-1", "12e5", "1e5", "a@b.co", "1.5", "1.2.0", "a b", "#1",
            "nullable", "E+1", "ünï", "日本",
        ] {
            assert_eq!(SuspectId::of(&Value::from(id)), None, "{id:?}");
        }
        assert_eq!(SuspectId::of(&Value::from(7)), None);
        assert_eq!(SuspectId::of(&Value::Null), None);
    }
}
