use serde_json::{Map, Value};

use super::rejection::Rejection;

/// The identifier of a person.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Identifier {
    CioId(String),
    /// In lower case, since the API matches addresses without regard to case.
    Email(String),
    Id(String),
    Phone(String),
}

impl Identifier {
    /// Reads a path segment, and infers the kind from its form as v1 does. A phone number in a path
    /// is an id.
    pub(crate) fn in_path(text: &str) -> Result<Self, Rejection> {
        if let Some(cio_id) = text.strip_prefix("cio_") {
            return Self::of_kind("cio_id", cio_id.to_owned());
        }
        Self::of_kind(if is_email(text) { "email" } else { "id" }, text.to_owned())
    }

    /// Reads an identifier of the App API, whose kind is named beside it. A `cio_id` has its
    /// prefix.
    pub(crate) fn in_app(kind: &str, text: &str) -> Result<Self, Rejection> {
        if !["id", "email", "phone", "cio_id"].contains(&kind) {
            return Err(Rejection::invalid(
                "id_type",
                "id_type must be one of id, email, phone, cio_id",
            ));
        }
        match (kind, text.strip_prefix("cio_")) {
            ("cio_id", Some(bare)) => Self::of_kind(kind, bare.to_owned()),
            ("cio_id", None) => Err(Rejection::invalid(
                "cio_id",
                "a cio_id must begin with cio_",
            )),
            _ => Self::of_kind(kind, text.to_owned()),
        }
    }

    /// Reads a value in a column of a file.
    pub(crate) fn in_column(kind: &str, text: &str) -> Result<Self, Rejection> {
        Self::of_kind(kind, text.to_owned())
    }

    /// Reads an object with exactly one of the keys `kinds`.
    pub(crate) fn in_object(
        field: &str,
        value: Option<&Value>,
        kinds: &[&str],
    ) -> Result<Self, Rejection> {
        let keys =
            value.ok_or_else(|| Rejection::required(field, format!("{field} must be present")))?;
        let keys = keys
            .as_object()
            .ok_or_else(|| Rejection::invalid(field, format!("{field} must be a hash")))?;
        if keys.is_empty() {
            return Err(Rejection::required(field, "id attribute must be present"));
        }
        let (kind, value) = only_entry(keys)
            .filter(|(kind, _)| kinds.contains(&kind.as_str()))
            .ok_or_else(|| {
                Rejection::invalid(
                    field,
                    format!("{field} must contain exactly one of {}", kinds.join(", ")),
                )
            })?;
        let text = value.as_str().ok_or_else(|| {
            Rejection::invalid(kind, format!("{kind} attribute must be a string value"))
        })?;
        Self::of_kind(kind, text.to_owned())
    }

    /// Reads an object as [`in_object`](Self::in_object) does, but accepts an integer for `id`, as
    /// the requests do in which official libraries send one.
    pub(crate) fn in_lenient_object(
        field: &str,
        value: Option<&Value>,
        kinds: &[&str],
    ) -> Result<Self, Rejection> {
        let mut value = value.cloned();
        if let Some(id) = value.as_mut().and_then(|keys| keys.get_mut("id"))
            && (id.is_i64() || id.is_u64())
        {
            *id = Value::String(id.to_string());
        }
        Self::in_object(field, value.as_ref(), kinds)
    }

    /// Returns the value without its kind.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::CioId(text) | Self::Email(text) | Self::Id(text) | Self::Phone(text) => text,
        }
    }

    fn of_kind(kind: &str, text: String) -> Result<Self, Rejection> {
        if text.trim().is_empty() {
            return Err(Rejection::required(
                kind,
                format!("{kind} attribute cannot be an empty string"),
            ));
        }
        if text.len() > MAX_ID_BYTES {
            return Err(Rejection::invalid(
                kind,
                format!("{kind} attribute cannot be longer than {MAX_ID_BYTES} bytes"),
            ));
        }
        if kind == "email" && !is_plain_address(&text) {
            return Err(Rejection::invalid(
                kind,
                "email attribute must be a valid email address",
            ));
        }
        if kind == "phone" && !is_phone(&text) {
            return Err(Rejection::invalid(
                kind,
                "phone attribute must be in E.164 format",
            ));
        }
        // Every other kind is `id`: the callers pass only known kinds.
        Ok(match kind {
            "cio_id" => Self::CioId(text),
            "email" => Self::Email(text.to_lowercase()),
            "phone" => Self::Phone(text),
            _ => Self::Id(text),
        })
    }
}

fn only_entry(keys: &Map<String, Value>) -> Option<(&String, &Value)> {
    if keys.len() == 1 {
        keys.iter().next()
    } else {
        None
    }
}

fn is_email(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    parts.is_some_and(|(local, domain)| {
        !local.is_empty() && domain.contains('.') && !text.contains(char::is_whitespace)
    })
}

/// Returns whether `text` is one address without a display name, a list, a scheme or an invisible
/// character.
fn is_plain_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let is_foreign = |character: char| {
        character.is_whitespace()
            || character.is_control()
            || matches!(character, '@' | '<' | '>' | ',' | ';' | '"' | '(' | ')')
            // Soft hyphen, zero-width characters, separators, direction marks, and byte order mark.
            || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(character, '\u{2060}'..='\u{206f}' | '\u{180e}' | '\u{feff}')
    };
    let has_scheme = local.to_ascii_lowercase().starts_with("mailto:");
    let parts = [local, domain];
    !has_scheme
        && parts
            .iter()
            .all(|part| !part.is_empty() && !part.contains(is_foreign))
}

/// Returns whether `text` is in E.164 format: a plus sign and 2 to 15 digits.
pub(super) fn is_phone(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('+') else {
        return false;
    };
    !digits.starts_with('0')
        && (2..=15).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The limit that the API documents, for identifiers of all kinds.
const MAX_ID_BYTES: usize = 150;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Identifier) {
        assert_eq!(Identifier::in_path(text), Ok(expected));
    }

    #[test]
    fn the_form_of_a_path_segment_decides_its_kind() {
        check("42", Identifier::Id("42".into()));
        check("+15551234567", Identifier::Id("+15551234567".into()));
        check("cio_03000001", Identifier::CioId("03000001".into()));
        check(
            "Person+tag@Example.com",
            Identifier::Email("person+tag@example.com".into()),
        );
        check("user@host", Identifier::Id("user@host".into()));
    }

    fn email(text: &str) -> Result<Identifier, Rejection> {
        let object = serde_json::json!({ "email": text });
        Identifier::in_object("identifiers", Some(&object), &["id", "email"])
    }

    #[test]
    fn an_email_is_one_plain_address() {
        for address in [
            "ada@example.com",
            "ada+tag@example.com",
            "o'hara@example.com",
            "ada@localhost",
            "j\u{f6}rg@b\u{fc}cher.example",
        ] {
            assert!(email(address).is_ok(), "{address}");
        }
        for address in [
            "ada",
            "@example.com",
            "ada@",
            "ada@b@example.com",
            "ada @example.com",
            " ada@example.com",
            "ada@example.com ",
            "ada@example.com\n",
            "ada\u{a0}@example.com",
            "ada@example.com\u{200b}",
            "\u{feff}ada@example.com",
            "ada\0@example.com",
            "Ada <ada@example.com>",
            "<ada@example.com>",
            "ada@example.com,bob@example.com",
            "ada@example.com;",
            "mailto:ada@example.com",
            "MAILTO:ada@example.com",
        ] {
            let rejection = email(address).unwrap_err();
            assert_eq!(
                (rejection.reason, &*rejection.field),
                ("invalid", "email"),
                "{address:?}"
            );
        }
        assert!(Identifier::in_path("mailto:ada@example.com").is_err());
    }

    #[test]
    fn lengths_are_bytes_not_characters() {
        assert!(Identifier::in_path(&"x".repeat(150)).is_ok());
        assert!(Identifier::in_path(&"x".repeat(151)).is_err());
        assert!(Identifier::in_path(&"é".repeat(76)).is_err());
    }
}
