use serde_json::{Map, Value};

use super::refusal::Refusal;

/// What an object goes by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ObjectName {
    /// What the service itself calls an object that exists.
    CioObjectId(String),
    /// The number of a type, which the API wants as a string, and an id within it.
    Typed { type_id: String, id: String },
}

impl ObjectName {
    /// Reads `{object_type_id, object_id}` or `{cio_object_id}`.
    pub(crate) fn in_object(value: Option<&Value>) -> Result<Self, Refusal> {
        let value =
            value.ok_or_else(|| Refusal::required("identifiers", "identifiers must be present"))?;
        let keys = value
            .as_object()
            .ok_or_else(|| Refusal::invalid("identifiers", "identifiers must be a hash"))?;
        if keys.len() == 1 && keys.contains_key("cio_object_id") {
            return Ok(Self::CioObjectId(id_at(keys, "cio_object_id")?));
        }
        if keys.len() != 2
            || !keys.contains_key("object_type_id")
            || !keys.contains_key("object_id")
        {
            return Err(Refusal::invalid(
                "identifiers",
                "identifiers must contain object_type_id and object_id, or cio_object_id",
            ));
        }
        let type_id = id_at(keys, "object_type_id")?;
        if type_id.parse::<u64>().is_err() {
            return Err(Refusal::invalid(
                "object_type_id",
                "object_type_id must be a string-formatted integer",
            ));
        }
        let id = id_at(keys, "object_id")?;
        Ok(Self::Typed { type_id, id })
    }
}

fn id_at(keys: &Map<String, Value>, key: &str) -> Result<String, Refusal> {
    let text = keys[key]
        .as_str()
        .ok_or_else(|| Refusal::invalid(key, format!("{key} must be a string")))?;
    if text.is_empty() {
        return Err(Refusal::required(key, format!("{key} must be non-empty")));
    }
    if text.len() > MAX_ID_BYTES {
        let message = format!("{key} cannot be longer than {MAX_ID_BYTES} bytes");
        return Err(Refusal::invalid(key, message));
    }
    Ok(text.to_owned())
}

const MAX_ID_BYTES: usize = 150;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(identifiers: &Value, refused: Option<&str>) {
        let name = ObjectName::in_object(Some(identifiers));
        let field = name.as_ref().err().map(|refusal| refusal.field.as_str());
        assert_eq!(field, refused, "{identifiers}");
    }

    #[test]
    fn an_object_has_a_type_and_an_id_or_the_services_own_id() {
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
