use serde::Serialize;

/// Why an operation is refused, with the names that v2 gives the parts. v1 shows the message alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Refusal {
    pub(crate) reason: &'static str,
    pub(crate) field: String,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn required(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            reason: "required",
            field: field.into(),
            message: message.into(),
        }
    }

    pub(crate) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            reason: "invalid",
            field: field.into(),
            message: message.into(),
        }
    }

    pub(crate) fn unknown_action(action: &str) -> Self {
        Self::invalid(
            "action",
            format!("action '{action}' is not valid for this type"),
        )
    }

    pub(crate) fn too_large(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            reason: "too_large",
            field: field.into(),
            message: message.into(),
        }
    }
}
