use std::borrow::Cow;
use std::{error, fmt};

/// Says which input cannot be sent, why, and what to do.
///
/// Its text names fields and sizes, never a person's data: no value is in it.
/// You must not depend on the exact words.
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
    /// A sentence of its own, for what occurs in one place only.
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
        let why = "lies before the year 1 or after 2286; give unix seconds, not milliseconds";
        Self {
            field: Cow::Borrowed("timestamp"),
            problem: Problem::Malformed(why),
        }
    }

    /// Returns the name of the field that is wrong, such as `person id`.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Returns whether a documented limit on size or number is exceeded.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(
            self.problem,
            Problem::TooLong { .. } | Problem::TooMany { .. }
        )
    }
}

/// Refuses what is empty or longer than `limit` bytes.
pub(crate) fn check_length(
    field: &'static str,
    text: &str,
    limit: usize,
) -> Result<(), InvalidInput> {
    check_size(field, text.len(), limit)
}

/// Refuses no bytes at all, and more than `limit`.
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

/// Refuses an empty list where the API wants something in it.
pub(crate) fn check_some(field: &'static str, count: usize) -> Result<(), InvalidInput> {
    if count == 0 {
        return Err(InvalidInput::malformed(
            field,
            "are none; give at least one",
        ));
    }
    Ok(())
}

/// Refuses more than `limit` of something.
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

/// Refuses more than `limit` bytes.
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
        match self {
            Self::DotSegment => f.write_str("is `.` or `..`, which is lost in a URL's path; use another"),
            Self::Empty => f.write_str("is empty; give a value"),
            Self::LooksLikeEmail => f.write_str(
                "contains `@`, so version 1 of the API takes it for an email; name it as an email, or use version 2",
            ),
            Self::LooksLikeCioId => f.write_str(
                "starts with `cio_`, so version 1 of the API takes it for a cio_id; name it as one, or use version 2",
            ),
            Self::Malformed(why) => f.write_str(why),
            Self::NotFinite => f.write_str(
                "holds a number that is not finite, which JSON cannot carry; send a number or leave it out",
            ),
            Self::NotAnObject => f.write_str("are not an object; give names with values"),
            Self::NotSerializable => f.write_str("cannot be written as JSON; use string keys, lists and plain values"),
            Self::TooLong { bytes, limit } => {
                write!(f, "takes {bytes} bytes, over the limit of {limit}; shorten it")
            }
            Self::TooMany { count, limit } => {
                write!(f, "number {count}, over the limit of {limit}; send fewer at once")
            }
        }
    }
}

impl fmt::Debug for InvalidInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InvalidInput({self})")
    }
}

impl error::Error for InvalidInput {}
