use serde_json::{Map, Value};

use super::rejection::Rejection;

/// The identifier of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ObjectIdentifier {
    /// The id that the service assigned to an existing object.
    CioObjectId(String),
    /// The number of a type, which the API expects as a string, and an id within that type.
    Typed { type_id: String, id: String },
}

impl ObjectIdentifier {
    /// Reads `{object_type_id, object_id}` or `{cio_object_id}`.
    pub(crate) fn in_object(value: Option<&Value>) -> Result<Self, Rejection> {
        let value = value
            .ok_or_else(|| Rejection::required("identifiers", "identifiers must be present"))?;
        let keys = value
            .as_object()
            .ok_or_else(|| Rejection::invalid("identifiers", "identifiers must be a hash"))?;
        if keys.len() == 1 && keys.contains_key("cio_object_id") {
            return Ok(Self::CioObjectId(id_at(keys, "cio_object_id")?));
        }
        if keys.len() != 2
            || !keys.contains_key("object_type_id")
            || !keys.contains_key("object_id")
        {
            return Err(Rejection::invalid(
                "identifiers",
                "identifiers must contain object_type_id and object_id, or cio_object_id",
            ));
        }
        let type_id = id_at(keys, "object_type_id")?;
        if type_id.parse::<u64>().is_err() {
            return Err(Rejection::invalid(
                "object_type_id",
                "object_type_id must be a string-formatted integer",
            ));
        }
        let id = id_at(keys, "object_id")?;
        Ok(Self::Typed { type_id, id })
    }
}

fn id_at(keys: &Map<String, Value>, key: &str) -> Result<String, Rejection> {
    let text = keys[key]
        .as_str()
        .ok_or_else(|| Rejection::invalid(key, format!("{key} must be a string")))?;
    if text.is_empty() {
        return Err(Rejection::required(key, format!("{key} must be non-empty")));
    }
    if text.len() > MAX_ID_BYTES {
        let message = format!("{key} cannot be longer than {MAX_ID_BYTES} bytes");
        return Err(Rejection::invalid(key, message));
    }
    Ok(text.to_owned())
}

/// The limit that the API documents.
const MAX_ID_BYTES: usize = 150;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(identifiers: &Value, expected: Option<&str>) {
        let name = ObjectIdentifier::in_object(Some(identifiers));
        let field = name
            .as_ref()
            .err()
            .map(|rejection| rejection.field.as_str());
        assert_eq!(field, expected, "{identifiers}");
    }

    #[test]
    fn an_object_has_a_type_and_an_id_or_the_id_of_the_service() {
        check(&json!({"object_type_id": "1", "object_id": "acme"}), None);
        check(&json!({"cio_object_id": "ob1"}), None);
        check(
            &json!({"object_type_id": 1, "object_id": "a"}),
            Some("object_type_id"),
        );
        check(
            &json!({"object_type_id": "x", "object_id": "a"}),
            Some("object_type_id"),
        );
        check(
            &json!({"object_type_id": "1", "object_id": ""}),
            Some("object_id"),
        );
        check(&json!({"object_id": "a"}), Some("identifiers"));
        check(
            &json!({"object_type_id": "1", "cio_object_id": "a"}),
            Some("identifiers"),
        );
        check(&json!({}), Some("identifiers"));
        check(&json!("acme"), Some("identifiers"));
    }
}
