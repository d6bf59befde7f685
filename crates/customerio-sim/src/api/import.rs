//! Imports of files, in the App API.

use serde_json::{Map, Value};

use super::check;
use super::rejection::Rejection;

/// A valid import.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ImportRequest {
    /// `people`, `event`, `relationship` or `object`.
    pub(crate) kind: String,
    /// The column that identifies the people of the rows.
    pub(crate) identifier: Option<String>,
    pub(crate) url: String,
    pub(crate) data_to_process: String,
    /// The members of the request.
    pub(crate) members: Map<String, Value>,
}

/// `POST /v1/imports`.
pub(crate) fn import(body: &[u8]) -> Result<ImportRequest, Rejection> {
    let mut body = check::object(body)?;
    let Some(Value::Object(members)) = body.remove("import") else {
        return Err(Rejection::required("import", "import must be an object"));
    };
    let kind = check::one_of(
        &members,
        "type",
        &["people", "event", "relationship", "object"],
    )?;
    check::required_string(&members, "name")?;
    check::optional_string(&members, "description")?;
    let url = check::required_string(&members, "data_file_url")?;
    if !url.starts_with("https://") && !url.starts_with("http://") {
        let message = "data_file_url must be a URL of http or https";
        return Err(Rejection::invalid("data_file_url", message));
    }
    let identifier = match kind.as_str() {
        "object" => None,
        "relationship" => Some(check::one_of(
            &members,
            "identifier",
            &["id", "email", "cio_id"],
        )?),
        _ => Some(check::one_of(&members, "identifier", &["id", "email"])?),
    };
    if kind == "object" {
        let type_id = check::required_string(&members, "object_type_id")?;
        if type_id.parse::<u64>().is_err() {
            let message = "object_type_id must be a string-formatted integer";
            return Err(Rejection::invalid("object_type_id", message));
        }
    }
    let known: &[&str] = match kind.as_str() {
        "event" => &["all", "only_existing"],
        _ => &["all", "only_new", "only_existing"],
    };
    let data_to_process = match members.get("data_to_process") {
        None | Some(Value::Null) => "all".to_owned(),
        Some(_) => check::one_of(&members, "data_to_process", known)?,
    };
    Ok(ImportRequest {
        kind,
        identifier,
        url,
        data_to_process,
        members,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_import_has_the_members_of_its_type() {
        let check = |change: Value, expected: Option<&str>| {
            let mut members = json!({
                "name": "i", "type": "people", "identifier": "id",
                "data_file_url": "https://x/y.csv",
            });
            let changed = change.as_object().unwrap().clone();
            members.as_object_mut().unwrap().extend(changed);
            let body = json!({"import": members}).to_string();
            let field = import(body.as_bytes())
                .err()
                .map(|rejection| rejection.field);
            assert_eq!(field.as_deref(), expected, "{change}");
        };
        check(json!({}), None);
        check(json!({"identifier": "cio_id"}), Some("identifier"));
        check(
            json!({"type": "relationship", "identifier": "cio_id"}),
            None,
        );
        check(json!({"type": "object"}), Some("object_type_id"));
        check(
            json!({"type": "object", "object_type_id": "1", "identifier": null}),
            None,
        );
        check(
            json!({"type": "object", "object_type_id": "x"}),
            Some("object_type_id"),
        );
        check(json!({"type": "person"}), Some("type"));
        check(json!({"name": ""}), Some("name"));
        check(
            json!({"data_file_url": "file:///y.csv"}),
            Some("data_file_url"),
        );
        check(json!({"data_to_process": "only_new"}), None);
        check(json!({"data_to_process": "none"}), Some("data_to_process"));
        check(
            json!({"type": "event", "data_to_process": "only_new"}),
            Some("data_to_process"),
        );
        assert!(import(b"{}").is_err());
    }
}
