use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::error::{Problem, check_bytes, check_length};
use crate::{InvalidInput, Lane, Validation, email};

/// The documented limit of an identifier, in bytes.
const MAX_ID: usize = 150;

/// The longest encoded identifier in a path, in bytes. An `http::Uri` holds 65,534 bytes; the rest
/// is for the base URL.
const MAX_SEGMENT: usize = 32_000;

/// All characters except the unreserved ones of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The identifier of a person, with its kind.
///
/// `Debug` shows the kind and leaves out the value.
///
/// ```
/// use customerio::Person;
/// assert_ne!(Person::id("a@example.com")?, Person::email("a@example.com")?);
/// assert!(Person::id("..").is_err());
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Person {
    kind: Kind,
    value: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    CioId,
    Email,
    Id,
    Phone,
}

impl Person {
    /// Identifies a person by your own `id`.
    ///
    /// # Errors
    ///
    /// The id is blank, `.` or `..` (URL libraries drop these from a path), or longer than 150
    /// bytes.
    pub fn id(id: &str) -> Result<Self, InvalidInput> {
        Self::checked(Kind::Id, "person id", id)
    }

    /// Identifies a person by your own `id`. Only strict validation checks its length.
    ///
    /// # Errors
    ///
    /// The id is blank, `.` or `..`, or, with strict validation, longer than 150 bytes.
    pub fn id_with(validation: Validation, id: &str) -> Result<Self, InvalidInput> {
        Self::validated(validation, Kind::Id, "person id", id)
    }

    /// Identifies a person by an email address. Only strict validation checks its form.
    ///
    /// # Errors
    ///
    /// The address is blank, or strict validation fails as for [`Person::email`].
    pub fn email_with(validation: Validation, email: &str) -> Result<Self, InvalidInput> {
        if validation.is_strict() {
            return Self::email(email);
        }
        Self::validated(validation, Kind::Email, "person email", email)
    }

    /// Identifies a person by a phone number. Only strict validation checks its form.
    ///
    /// # Errors
    ///
    /// The number is blank, or strict validation fails as for [`Person::phone`].
    pub fn phone_with(validation: Validation, number: &str) -> Result<Self, InvalidInput> {
        if validation.is_strict() {
            return Self::phone(number);
        }
        Self::validated(validation, Kind::Phone, "person phone", number)
    }

    /// Identifies a person by their email address.
    ///
    /// # Errors
    ///
    /// The address is empty, longer than 150 bytes, or not exactly one bare address: it needs one
    /// `@` with text on both sides, and must not contain white space, control or invisible
    /// characters, a display name, a list or `mailto:`.
    pub fn email(email: &str) -> Result<Self, InvalidInput> {
        let person = Self::checked(Kind::Email, "person email", email)?;
        email::check(email)?;
        Ok(person)
    }

    /// Identifies a person by the `cio_id` that Customer.io assigned, with or without the prefix
    /// `cio_`.
    ///
    /// # Errors
    ///
    /// As for [`Person::id`].
    pub fn cio_id(cio_id: &str) -> Result<Self, InvalidInput> {
        let bare = cio_id.strip_prefix("cio_").unwrap_or(cio_id);
        Self::checked(Kind::CioId, "person cio_id", bare)
    }

    /// Identifies a person by their phone number in the format of E.164, such as `+15551234567`.
    ///
    /// Version 2 accepts it if the workspace identifies people by phone. Version 1 and merges do
    /// not.
    ///
    /// # Errors
    ///
    /// The number is not `+` and 2 to 15 digits, or the first digit is 0.
    pub fn phone(number: &str) -> Result<Self, InvalidInput> {
        let digits = number.strip_prefix('+').unwrap_or_default();
        let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        if !(2..=15).contains(&digits.len()) || !all_digits || digits.starts_with('0') {
            return Err(InvalidInput::malformed(
                "person phone",
                "is not of the form +15551234567 (E.164); give the country code and digits only",
            ));
        }
        Self::checked(Kind::Phone, "person phone", number)
    }

    fn checked(kind: Kind, field: &'static str, value: &str) -> Result<Self, InvalidInput> {
        Self::validated(Validation::Strict, kind, field, value)
    }

    fn validated(
        validation: Validation,
        kind: Kind,
        field: &'static str,
        value: &str,
    ) -> Result<Self, InvalidInput> {
        // A blank identifier is an error with each validation: it would identify no one.
        check_length(field, value.trim(), usize::MAX)?;
        if validation.is_strict() {
            check_bytes(field, value.len(), MAX_ID)?;
        }
        check_segment(field, value)?;
        Ok(Self {
            kind,
            value: value.into(),
        })
    }

    /// Returns the lane of this person's operations.
    pub(crate) fn lane(&self) -> Lane {
        match self.kind {
            // The API ignores the case of addresses, so both spellings are one person.
            Kind::Email => Lane::of(&(Kind::Email, self.value.to_ascii_lowercase())),
            Kind::CioId | Kind::Id | Kind::Phone => Lane::of(&(self.kind, &*self.value)),
        }
    }

    /// Returns an error for two people that cannot be merged.
    pub(crate) fn check_merge(&self, secondary: &Self) -> Result<(), InvalidInput> {
        self.check_not_phone()?;
        secondary.check_not_phone()?;
        if self.lane() == secondary.lane() {
            return Err(InvalidInput::malformed(
                "secondary person",
                "is the same as the primary person; give two people",
            ));
        }
        Ok(())
    }

    /// Returns an error for a phone number, for requests that do not support it.
    pub(crate) fn check_not_phone(&self) -> Result<(), InvalidInput> {
        if self.kind == Kind::Phone {
            return Err(InvalidInput::malformed(
                "person phone",
                "is not supported by this request; identify the person by id, email or cio_id",
            ));
        }
        Ok(())
    }

    /// Returns the API's name of the kind.
    pub(crate) const fn key(&self) -> &'static str {
        self.kind.key()
    }

    /// Returns the identifier without a prefix, as in a body.
    pub(crate) fn bare(&self) -> &str {
        &self.value
    }

    /// Returns the identifier as a path segment of version 1, which infers the kind from the text.
    /// An id that looks like another kind is an error.
    pub(crate) fn path_segment(&self) -> Result<String, InvalidInput> {
        let encoded = encode(&self.value).to_string();
        check_bytes("person in a path", encoded.len(), MAX_SEGMENT)?;
        match self.kind {
            Kind::Id if self.value.contains('@') => {
                Err(InvalidInput::new("person id", Problem::LooksLikeEmail))
            }
            Kind::Id if self.value.starts_with("cio_") => {
                Err(InvalidInput::new("person id", Problem::LooksLikeCioId))
            }
            Kind::CioId => Ok(format!("cio_{encoded}")),
            Kind::Phone => self.check_not_phone().map(|()| String::new()),
            Kind::Email | Kind::Id => Ok(encoded),
        }
    }

    /// Returns the identifier as a path segment of the App API, which is told the kind beside it.
    pub(crate) fn app_segment(&self) -> String {
        encode(&self.app_id()).to_string()
    }

    /// Returns the identifier as a value in a query of the App API, not encoded.
    pub(crate) fn app_id(&self) -> String {
        let prefix = if self.kind == Kind::CioId { "cio_" } else { "" };
        format!("{prefix}{}", self.value)
    }
}

/// Percent-encodes text as one path segment.
pub(crate) fn encode(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}

/// Returns an error for a segment that URL libraries drop, even if it is encoded.
pub(crate) fn check_segment(field: &'static str, text: &str) -> Result<(), InvalidInput> {
    if matches!(text, "." | "..") {
        return Err(InvalidInput::new(field, Problem::DotSegment));
    }
    Ok(())
}

impl Serialize for Person {
    /// Writes the `identifiers` object of version 2, for example `{"id":"u1"}`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.kind.key(), &*self.value)?;
        map.end()
    }
}

impl Kind {
    const fn key(self) -> &'static str {
        match self {
            Self::CioId => "cio_id",
            Self::Email => "email",
            Self::Id => "id",
            Self::Phone => "phone",
        }
    }
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Person({}: [redacted])", self.kind.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(person: Result<Person, InvalidInput>, expected: Option<&str>) {
        let segment = person.and_then(|person| person.path_segment());
        assert_eq!(segment.as_deref().ok(), expected, "{segment:?}");
    }

    #[test]
    fn path_segments_keep_only_unreserved_characters() {
        check(
            Person::id("a b/c?d#e%f&g:h"),
            Some("a%20b%2Fc%3Fd%23e%25f%26g%3Ah"),
        );
        check(
            Person::id("it's(ok)*!~-._"),
            Some("it%27s%28ok%29%2A%21~-._"),
        );
        check(
            Person::id("ünï-日本-😀"),
            Some("%C3%BCn%C3%AF-%E6%97%A5%E6%9C%AC-%F0%9F%98%80"),
        );
        check(
            Person::email("person+tag@example.com"),
            Some("person%2Btag%40example.com"),
        );
        check(Person::cio_id("03000001"), Some("cio_03000001"));
        check(Person::cio_id("cio_03000001"), Some("cio_03000001"));
    }

    #[test]
    fn ids_that_look_like_another_kind_are_errors_in_version_1() {
        check(Person::id("a@b.co"), None);
        check(Person::id("cio_1"), None);
        check(Person::id("acio_1"), Some("acio_1"));
    }

    #[test]
    fn identifiers_are_checked() {
        for id in ["", ".", "..", &"x".repeat(151), &"ü".repeat(76)] {
            assert!(Person::id(id).is_err(), "{id}");
            assert!(Person::email(id).is_err(), "{id}");
            assert!(Person::cio_id(id).is_err(), "{id}");
        }
        for email in ["a", "@", "a@", "@b", "a@b@"] {
            assert!(Person::email(email).is_err(), "{email}");
        }
        for id in ["0", "...", &"x".repeat(150), &"ü".repeat(75)] {
            assert!(Person::id(id).is_ok(), "{id}");
        }
    }

    #[test]
    fn lanes_depend_on_the_kind_and_ignore_the_case_of_addresses() {
        let lane = |person: Result<Person, _>| person.unwrap().lane();
        assert_ne!(lane(Person::id("a@b")), lane(Person::email("a@b")));
        assert_ne!(lane(Person::id("a")), lane(Person::id("A")));
        assert_eq!(lane(Person::email("A@b")), lane(Person::email("a@B")));
    }
}
