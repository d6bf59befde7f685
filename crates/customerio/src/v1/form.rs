use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::request::{Success, V1Request};
use crate::error::check_length;
use crate::json::to_bytes;
use crate::person::{check_segment, encode};
use crate::{InvalidInput, Person, Request};

/// The documented limit of an attribute's name, in bytes. The fields of a form become attributes.
const MAX_NAME: usize = 150;

/// The names that the API reserves, and those that identify the person.
const RESERVED: [&str; 7] = [
    "email",
    "form_id",
    "form_name",
    "form_type",
    "form_url",
    "form_url_param",
    "id",
];

/// The fields of a submitted form. Each value is a string.
///
/// `Debug` shows the names of the fields and leaves out the values.
///
/// ```
/// use customerio::{Person, v1};
/// let form = v1::Form::new(&Person::email("a@b.co")?)?.field("first_name", "Ada")?;
/// assert_eq!(v1::submit_form("newsletter", &form)?.path(), "/api/v1/forms/newsletter/submit");
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize)]
#[must_use]
pub struct Form {
    data: BTreeMap<String, String>,
}

impl Form {
    /// Creates the form of a person, identified by id or by email.
    ///
    /// # Errors
    ///
    /// The person is identified in another way, which the API does not support.
    pub fn new(person: &Person) -> Result<Self, InvalidInput> {
        if !matches!(person.key(), "email" | "id") {
            return Err(InvalidInput::malformed(
                "form's person",
                "is not identified by email or id, and a form supports no other; use one of them",
            ));
        }
        Ok(Self {
            data: BTreeMap::from([(person.key().to_owned(), person.bare().to_owned())]),
        })
    }

    /// Sets the value of a field.
    ///
    /// # Errors
    ///
    /// The name is empty, takes more than 150 bytes, or is reserved by the API.
    pub fn field(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, InvalidInput> {
        let name = name.into();
        check_length("form field's name", &name, MAX_NAME)?;
        if RESERVED.contains(&name.as_str()) {
            return Err(InvalidInput::malformed(
                "form field's name",
                "is reserved by the API; use another",
            ));
        }
        self.data.insert(name, value.into());
        Ok(self)
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Form")?;
        f.debug_set().entries(self.data.keys()).finish()
    }
}

/// Submits a form. If the workspace has no form `form_id`, the API creates one.
///
/// A submission can start a campaign. The request is therefore not replayed after a failure that
/// leaves open whether it arrived.
///
/// # Errors
///
/// The `form_id` is empty, `.`, `..` or takes more than 150 bytes.
pub fn submit_form(form_id: &str, form: &Form) -> Result<Request, InvalidInput> {
    check_length("form id", form_id, MAX_NAME)?;
    check_segment("form id", form_id)?;
    let path = format!("/api/v1/forms/{}/submit", encode(form_id));
    let request = V1Request {
        success: Success::ObjectOrNothing,
        ..V1Request::post("/api/v1/forms/{form_id}/submit", path, to_bytes(form))
    };
    Ok(request.not_replayed().into())
}
