use std::borrow::Cow;
use std::{error, fmt};

/// The error of an input that cannot be sent: which field, why, and what to do.
///
/// The text names fields and sizes and contains no value, so it has no personal data. The exact
/// text may change in any release.
#[derive(Clone, PartialEq, Eq)]
pub struct InvalidInput {
    field: Cow<'static, str>,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    DotSegment,
    Empty,
    LooksLikeEmail,
    LooksLikeCioId,
    /// A message for one specific field.
    Malformed(&'static str),
    NotFinite,
    NotAnObject,
    NotSerializable,
    TooLong {
        bytes: usize,
        limit: usize,
    },
    TooMany {
        count: usize,
        limit: usize,
    },
}

impl InvalidInput {
    pub(crate) fn new(field: impl Into<Cow<'static, str>>, problem: Problem) -> Self {
        Self {
            field: field.into(),
            problem,
        }
    }

    pub(crate) fn malformed(field: &'static str, why: &'static str) -> Self {
        Self::new(field, Problem::Malformed(why))
    }

    pub(crate) const fn out_of_range() -> Self {
        let why = "is before the year 1 or after 2286; give unix seconds, not milliseconds";
        Self {
            field: Cow::Borrowed("timestamp"),
            problem: Problem::Malformed(why),
        }
    }

    /// Returns the name of the invalid field, such as `person id`.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Returns whether the input exceeds a limit on size or number.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(
            self.problem,
            Problem::TooLong { .. } | Problem::TooMany { .. }
        )
    }
}

/// Returns an error for text that is empty or longer than `limit` bytes.
pub(crate) fn check_length(
    field: &'static str,
    text: &str,
    limit: usize,
) -> Result<(), InvalidInput> {
    check_size(field, text.len(), limit)
}

/// Returns an error for 0 bytes, and for more than `limit`.
pub(crate) fn check_size(
    field: &'static str,
    bytes: usize,
    limit: usize,
) -> Result<(), InvalidInput> {
    if bytes == 0 {
        return Err(InvalidInput::new(field, Problem::Empty));
    }
    check_bytes(field, bytes, limit)
}

/// Returns an error for an empty list.
pub(crate) fn check_some(field: &'static str, count: usize) -> Result<(), InvalidInput> {
    if count == 0 {
        return Err(InvalidInput::malformed(
            field,
            "are missing; give at least one",
        ));
    }
    Ok(())
}

/// Returns an error for more than `limit` items.
pub(crate) fn check_count(
    field: &'static str,
    count: usize,
    limit: usize,
) -> Result<(), InvalidInput> {
    if count > limit {
        return Err(InvalidInput::new(field, Problem::TooMany { count, limit }));
    }
    Ok(())
}

/// Returns an error for more than `limit` bytes.
pub(crate) fn check_bytes(
    field: impl Into<Cow<'static, str>>,
    bytes: usize,
    limit: usize,
) -> Result<(), InvalidInput> {
    if bytes > limit {
        return Err(InvalidInput::new(field, Problem::TooLong { bytes, limit }));
    }
    Ok(())
}

impl fmt::Display for InvalidInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::DotSegment => "is `.` or `..`, which is lost in a URL's path; use another",
            Self::Empty => "is empty; give a value",
            Self::LooksLikeEmail => {
                "contains `@`, so version 1 of the API reads it as an email; \
                 use `Person::email`, or version 2"
            }
            Self::LooksLikeCioId => {
                "starts with `cio_`, so version 1 of the API reads it as a cio_id; \
                 use `Person::cio_id`, or version 2"
            }
            Self::Malformed(why) => why,
            Self::NotFinite => {
                "contains NaN or an infinity, which JSON cannot carry; \
                 give a finite number, or leave it out"
            }
            Self::NotAnObject => "are not an object; give a struct or a map",
            Self::NotSerializable => {
                "cannot be written as JSON; use string keys, lists and plain values"
            }
            Self::TooLong { bytes, limit } => {
                return write!(
                    f,
                    "takes {bytes} bytes, over the limit of {limit}; shorten it"
                );
            }
            Self::TooMany { count, limit } => {
                return write!(
                    f,
                    "number {count}, over the limit of {limit}; send fewer at once"
                );
            }
        };
        f.write_str(text)
    }
}

impl fmt::Debug for InvalidInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InvalidInput({self})")
    }
}

impl error::Error for InvalidInput {}
